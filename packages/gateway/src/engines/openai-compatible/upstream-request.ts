import type { ChatMessage, GatewayRequest, Sampling } from '@open-autoglm/protocol';

/** The body of the request to another server, in OpenAI's words. Only what the client asked for is in it. */
export function upstreamBody(request: GatewayRequest, model: string): string {
  const { input, stream, choiceCount, maxTokens, stop, sampling, topLogprobs } = request;
  const isChat = input.kind === 'chat';
  return JSON.stringify({
    model,
    ...(isChat ? { messages: input.messages.map(toWireMessage) } : { prompt: toWirePrompt(input.prompts) }),
    ...(stream && { stream: true, stream_options: { include_usage: true } }),
    ...(choiceCount > 1 && { n: choiceCount }),
    max_tokens: maxTokens,
    ...(stop.length > 0 && { stop }),
    ...(topLogprobs !== undefined && (isChat ? { logprobs: true, top_logprobs: topLogprobs } : { logprobs: topLogprobs })),
    ...toWireSampling(sampling),
  });
}

/** `top_k`, `min_p` and the penalty of repetition are no words of OpenAI's: a server that does not know them refuses or says so itself. */
function toWireSampling({ temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, seed }: Partial<Sampling>): object {
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

function toWireMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage): object {
  return {
    role,
    content: content === '' && toolCalls ? null : content,
    name,
    tool_calls: toolCalls,
    tool_call_id: toolCallId,
  };
}

function toWirePrompt(prompts: readonly (string | readonly number[])[]): unknown {
  return prompts.length === 1 ? prompts[0] : prompts;
}
