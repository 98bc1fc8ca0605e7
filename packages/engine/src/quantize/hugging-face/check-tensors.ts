import { AutoglmError } from '@open-autoglm/protocol';
import type { Architecture } from '../../architectures/architecture.ts';
import { architectureNamed } from '../../architectures/index.ts';
import type { LayerTensors } from '../../architectures/layer-tensors.ts';
import { shown } from '../../models/shown.ts';
import type { SourceTensor } from '../model-source.ts';
import type { ModelShape } from './config.ts';

type NamedShape = readonly [name: string, sizes: readonly number[]];

/**
 * Whether a folder's tensors are those of its configuration, each of the size that follows from it: what is written of others
 * would be found out only when it is loaded. Throws `engine_failed` naming the first tensor that is not. Returns the rows of the embedding.
 */
export function checkTensors(tensors: readonly SourceTensor[], shape: ModelShape, folder: string): number {
  const refuse = (reason: string) => new AutoglmError('engine_failed', `${folder} cannot be used: ${reason}.`);
  const found = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const [, rows = 0] = found.get('token_embd.weight')?.shape ?? [];
  const wanted = new Set<string>();
  for (const [name, sizes] of shapesOf(shape, found, rows)) {
    const tensor = found.get(name);
    if (!tensor) throw refuse(`the tensor that a GGUF calls ${name} is missing: some of its files are not there`);
    if (tensor.shape.join() !== sizes.join())
      throw refuse(`the tensor that a GGUF calls ${name} is ${described(tensor.shape)}, and by its config.json ${described(sizes)}`);
    wanted.add(name);
  }
  const unknown = tensors.find(({ name }) => !wanted.has(name));
  if (unknown) throw refuse(`the tensor that a GGUF calls ${shown(unknown.name)} has no place in a model of its config.json`);
  if (found.size < tensors.length) throw refuse('two of its tensors have the same place in the model');
  return rows;
}

/**
 * GGUF's names, and columns before rows as there. One by one: a configuration may claim more layers than there is memory for their names.
 */
function* shapesOf(shape: ModelShape, found: ReadonlyMap<string, SourceTensor>, rows: number): Generator<NamedShape> {
  const { tensors: kinds } = architectureNamed(shape.architecture) as Architecture;
  const { embeddingLength: width, layerCount, vocabularySize = rows, isTied } = shape;
  yield ['token_embd.weight', [width, vocabularySize]];
  yield ['output_norm.weight', [width]];
  // A configuration that does not say leaves it to the weights.
  if (isTied === false || found.has('output.weight')) yield ['output.weight', [width, vocabularySize]];
  const hasBias = kinds.attentionBias === 'always' || (kinds.attentionBias === 'if-present' && found.has('blk.0.attn_q.bias'));
  const layer = layerShapes(shape, kinds, hasBias);
  for (let index = 0; index < layerCount; index += 1) for (const [part, sizes] of layer) yield [`blk.${index}.${part}`, sizes];
}

function layerShapes(shape: ModelShape, kinds: LayerTensors, hasBias: boolean): readonly NamedShape[] {
  const { embeddingLength: width, feedForwardLength: inner, headLength, headCount, kvHeadCount } = shape;
  const [q, k] = [headCount * headLength, kvHeadCount * headLength];
  return [
    ['attn_norm.weight', [width]],
    ['attn_q.weight', [width, q]],
    ['attn_k.weight', [width, k]],
    ['attn_v.weight', [width, k]],
    ...(hasBias
      ? ([
          ['attn_q.bias', [q]],
          ['attn_k.bias', [k]],
          ['attn_v.bias', [k]],
        ] satisfies NamedShape[])
      : []),
    ...(kinds.headNorms
      ? ([
          ['attn_q_norm.weight', [headLength]],
          ['attn_k_norm.weight', [headLength]],
        ] satisfies NamedShape[])
      : []),
    ['attn_output.weight', [q, width]],
    ['ffn_norm.weight', [width]],
    ...(kinds.fusedGateUp
      ? ([['ffn_up.weight', [width, 2 * inner]]] satisfies NamedShape[])
      : ([
          ['ffn_gate.weight', [width, inner]],
          ['ffn_up.weight', [width, inner]],
        ] as const)),
    ['ffn_down.weight', [inner, width]],
    ...(kinds.postNorms
      ? ([
          ['post_attention_norm.weight', [width]],
          ['post_ffw_norm.weight', [width]],
        ] satisfies NamedShape[])
      : []),
  ];
}

function described(sizes: readonly number[]): string {
  return sizes.length === 0 ? 'a single number' : sizes.join(' × ');
}
