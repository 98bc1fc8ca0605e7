/** What crosses the wire in one exchange: one value, or the values of a stream. */
export interface Payload {
  readonly name: string;
  readonly values: readonly object[];
  /** Whether it is sent as a stream of events. */
  readonly isStream: boolean;
  /** Whether its numbers are vectors of float32. */
  readonly isVectors: boolean;
}

const turns = [
  '明天下午三点在国贸店洗车，可以吗？',
  '可以的，明天下午三点国贸店有空位。请问您的车是什么型号？',
  '是一辆白色的轿车，车里有点脏，想顺便清洗一下内饰。',
  '好的，已为您备注内饰清洗，预计需要九十分钟，费用一百二十八元。',
  '时间有点长，能不能先洗外面，内饰下次再说？',
  '没问题，只洗外观大约三十分钟，费用四十八元，仍然是明天下午三点。',
];

/** A conversation of so many turns, none of which is another's copy. */
export function conversation(turnCount: number, salt: string): { role: 'system' | 'user' | 'assistant'; content: string }[] {
  const system = { role: 'system' as const, content: `你是车主的语音助手，回答要简短，先确认时间和门店，再确认服务项目。编号${salt}。` };
  return [
    system,
    ...Array.from({ length: turnCount }, (_, index) => ({
      role: index % 2 === 0 ? ('user' as const) : ('assistant' as const),
      content: `${index + 1}、${turns[index % turns.length]}${turns[(index * 5 + 2) % turns.length]}`,
    })),
  ];
}

const head = {
  id: 'chatcmpl-0c9a0a4e-8a39-4a34-9a0b-0a9ad5a8f3f1',
  object: 'chat.completion.chunk',
  created: 1_790_000_000,
  model: 'default',
};
const chunk = (delta: object, finishReason: string | null = null) => ({
  ...head,
  choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
});

/** As the gateway sends and takes them. */
export function createPayloads(): readonly Payload[] {
  const words = ['好', '的', '，', '明天', '下午', '三点', '国贸', '店', '，', '已经', '为您', '预约', '。'];
  const deltas = Array.from({ length: 200 }, (_, index) => chunk({ content: words[index % words.length] }));
  const vector = (seed: number) => Array.from({ length: 512 }, (_, index) => Math.fround(Math.sin(seed * 12.9898 + index * 78.233) * 0.08));
  const answer = {
    ...head,
    object: 'chat.completion',
    choices: [
      { index: 0, message: { role: 'assistant', content: words.join('').repeat(8), refusal: null }, logprobs: null, finish_reason: 'stop' },
    ],
    usage: { prompt_tokens: 412, completion_tokens: 104, total_tokens: 516, prompt_tokens_details: { cached_tokens: 384 } },
    autoglm: {
      timings: { input_ms: 0.31, queue_ms: 0.02, prefill_ms: 41.87, decode_ms: 118.22, output_ms: 0.05, other_ms: 0.4, total_ms: 160.87 },
    },
  };
  const one = (name: string, value: object, isVectors = false): Payload => ({ name, values: [value], isStream: false, isVectors });
  return [
    one('chat request, 20 turns', { model: 'default', messages: conversation(20, '0'), stream: true, max_tokens: 256 }),
    one('one turn as a patch', [{ op: 'add', path: '/messages/-', value: { role: 'user', content: turns[0] } }]),
    one('whole answer', answer),
    {
      name: 'stream of 200 chunks',
      values: [chunk({ role: 'assistant', content: '' }), ...deltas, chunk({}, 'stop')],
      isStream: true,
      isVectors: false,
    },
    one(
      '16 embeddings of 512',
      {
        object: 'list',
        data: Array.from({ length: 16 }, (_, index) => ({ object: 'embedding', index, embedding: vector(index) })),
        model: 'bge-small-zh',
        usage: { prompt_tokens: 128, total_tokens: 128 },
      },
      true,
    ),
  ];
}
