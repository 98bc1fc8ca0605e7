import type { Bottleneck } from '@open-autoglm/protocol';
import { toThousandths } from '../profile/segment-times.ts';

/** A bottleneck as clients and logs read it. */
export function bottleneckFields({ segment, cause, detail, durationMs, expectedMs }: Bottleneck): Record<string, string | number> {
  return { segment, cause, detail, duration_ms: toThousandths(durationMs), expected_ms: toThousandths(expectedMs) };
}
