import type { TraceFormat } from '../trace/trace-format.ts';
import { autoglmFormat } from './autoglm.ts';
import { azureFormat } from './azure.ts';
import { burstgptFormat } from './burstgpt.ts';
import { mooncakeFormat } from './mooncake.ts';

/** No line is recognised by two of them. */
export const formats: readonly TraceFormat[] = [azureFormat, mooncakeFormat, burstgptFormat, autoglmFormat];
