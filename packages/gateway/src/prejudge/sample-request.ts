import type { GatewayRequest } from '@open-autoglm/protocol';

/** A request of nobody, to be judged. */
export function sampleRequest(text: string): GatewayRequest {
  return {
    id: '',
    model: 'default',
    tenant: '',
    input: { kind: 'chat', messages: [{ role: 'user', content: text }] },
    prompts: undefined,
    stream: false,
    choiceCount: 1,
    sampling: {},
    maxTokens: undefined,
    stop: [],
    topLogprobs: undefined,
    signal: new AbortController().signal,
    emit: () => {},
  };
}
