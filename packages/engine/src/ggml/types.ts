/** Values of C's `enum ggml_type` that the code names; others pass through as numbers. */
export const GgmlType = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  I32: 26,
  I64: 27,
  BF16: 30,
} as const;

/** `GGML_TYPE_COUNT` of the pinned version: for a type from there on ggml reads beyond its tables. */
export const ggmlTypeCount = 43;

/** Values of C's `enum gguf_type`. */
export const GgufType = {
  UINT8: 0,
  INT8: 1,
  UINT16: 2,
  INT16: 3,
  UINT32: 4,
  INT32: 5,
  FLOAT32: 6,
  BOOL: 7,
  STRING: 8,
  ARRAY: 9,
  UINT64: 10,
  INT64: 11,
  FLOAT64: 12,
} as const;

/** How `ggml_rope_ext` pairs dimensions: neighbours (0), or halves of the head (2). */
export const RopeMode = { NORMAL: 0, NEOX: 2 } as const;
