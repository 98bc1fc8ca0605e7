import type { ChatMessage, GatewayRequest, RequestInput, Sampling, TraceContext } from '@open-autoglm/protocol';

/**
 * What a server is told beside the body: what every request of ours says, whose request it is, and its trace. Name by name: nearly every
 * request has them, and entries made a list cost several times as much.
 */
export function requestHeaders(fixed: readonly string[], requestId: string, traceContext: TraceContext | undefined): string[] {
  const headers = [...fixed, 'x-request-id', requestId];
  if (traceContext) headers.push('traceparent', traceContext.traceparent);
  if (traceContext?.tracestate !== undefined) headers.push('tracestate', traceContext.tracestate);
  return headers;
}

/**
 * The body of the request to another server, in OpenAI's words: the client's own where they still stand, ours for what a stage
 * has changed. Only what was asked for is in it.
 */
export function upstreamBody(request: GatewayRequest, model: string): string {
  return JSON.stringify(upstreamFields(request, model));
}

/** As `upstreamBody`, not yet written. */
export function upstreamFields(request: GatewayRequest, model: string): Record<string, unknown> {
  const { body, input, stream, choiceCount, maxTokens, stop, sampling, topLogprobs } = request;
  const read = body?.read;
  const wire: Record<string, unknown> = { ...body?.fields, model };
  if (stream || 'stream' in wire || 'stream_options' in wire) Object.assign(wire, toWireStream(stream, wire['stream_options']));
  if (input !== read?.input) Object.assign(wire, toWireInput(input));
  if (choiceCount !== (read?.choiceCount ?? 1)) wire['n'] = choiceCount;
  if (maxTokens !== read?.maxTokens) Object.assign(wire, { max_completion_tokens: undefined, max_tokens: maxTokens });
  if (stop !== read?.stop) wire['stop'] = stop.length > 0 ? stop : undefined;
  if (topLogprobs !== read?.topLogprobs) Object.assign(wire, toWireLogprobs(topLogprobs, input));
  if (sampling !== read?.sampling) Object.assign(wire, toWireSampling(sampling));
  return wire;
}

function toWireLogprobs(topLogprobs: number | undefined, { kind }: RequestInput): object {
  return kind === 'chat' ? { logprobs: topLogprobs !== undefined || undefined, top_logprobs: topLogprobs } : { logprobs: topLogprobs };
}

/** A stream always tells its usage: it is known here whether the client wants to hear of it. */
function toWireStream(stream: boolean, options: unknown): object {
  if (!stream) return { stream: undefined, stream_options: undefined };
  return { stream: true, stream_options: { ...(options as object | null | undefined), include_usage: true } };
}

function toWireInput(input: RequestInput): object {
  if (input.kind === 'chat') return { messages: input.messages.map(toWireMessage) };
  return { prompt: input.prompts.length === 1 ? input.prompts[0] : input.prompts };
}

/** `top_k`, `min_p` and the penalty of repetition are no words of OpenAI's: a server that does not know them refuses or says so itself. */
function toWireSampling({
  temperature,
  topK,
  topP,
  minP,
  repetitionPenalty,
  presencePenalty,
  frequencyPenalty,
  logitBias,
  seed,
}: Partial<Sampling>): object {
  return {
    temperature,
    top_p: topP,
    // What every server of the field takes for "all"; 0 is an error for some.
    top_k: topK === 0 ? -1 : topK,
    min_p: minP,
    // vLLM's and SGLang's word, and llama.cpp's; each passes over the other.
    repetition_penalty: repetitionPenalty,
    repeat_penalty: repetitionPenalty,
    presence_penalty: presencePenalty,
    frequency_penalty: frequencyPenalty,
    logit_bias: logitBias,
    seed,
  };
}

/** As the client wrote it, where it still stands. */
export function toWireMessage({ role, content, name, toolCalls, toolCallId, wire }: ChatMessage): object {
  return (
    wire ?? {
      role,
      content: content === '' && toolCalls ? null : content,
      name,
      tool_calls: toolCalls,
      tool_call_id: toolCallId,
    }
  );
}
