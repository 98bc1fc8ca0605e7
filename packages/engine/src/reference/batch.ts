import koffi from 'koffi';
import type { Pointer } from '../ggml/bindings.ts';
import type { BatchStruct } from './llama-bindings.ts';

export interface ReferenceToken {
  readonly token: number;
  readonly position: number;
  readonly sequence: number;
  readonly wantsLogits: boolean;
}

/** C memory for a `llama_batch`, filled again for every call so that the reference pays for no allocation. */
export interface Batch {
  /** Throws when the tokens are more than the batch holds. */
  fill(tokens: readonly ReferenceToken[]): BatchStruct;
  free(): void;
}

export function openBatch(capacity: number): Batch {
  const token = column('int32', capacity, Int32Array);
  const position = column('int32', capacity, Int32Array);
  const sequenceCount = column('int32', capacity, Int32Array);
  const sequence = column('int32', capacity, Int32Array);
  const sequenceAddress = column('uint64', capacity, BigUint64Array);
  const wantsLogits = column('int8', capacity, Int8Array);

  // Every token belongs to one sequence, whose id stands at the same index of `sequence`.
  sequenceCount.values.fill(1);
  for (let index = 0; index < capacity; index += 1) sequenceAddress.values[index] = sequence.address + BigInt(index * 4);

  return {
    fill(tokens) {
      if (tokens.length > capacity) throw new Error(`${tokens.length} tokens do not fit a batch of ${capacity}`);
      for (const [index, entry] of tokens.entries()) {
        token.values[index] = entry.token;
        position.values[index] = entry.position;
        sequence.values[index] = entry.sequence;
        wantsLogits.values[index] = Number(entry.wantsLogits);
      }
      return {
        n_tokens: tokens.length,
        embd: null,
        token: token.address,
        pos: position.address,
        n_seq_id: sequenceCount.address,
        seq_id: sequenceAddress.address,
        logits: wantsLogits.address,
      };
    },
    free() {
      for (const { address } of [token, position, sequenceCount, sequence, sequenceAddress, wantsLogits]) koffi.free(address);
    },
  };
}

interface TypedArrayConstructor<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): A;
}

function column<A>(type: string, length: number, Values: TypedArrayConstructor<A>): { readonly address: Pointer; readonly values: A } {
  const address = koffi.alloc(type, length) as Pointer;
  return { address, values: new Values(koffi.view(address, length * Values.BYTES_PER_ELEMENT)) };
}
