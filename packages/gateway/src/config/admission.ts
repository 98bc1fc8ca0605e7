import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const milliseconds = Type.Integer({ minimum: 1, maximum: 86_400_000 });
/**
 * One file each in `admission/policies/`. mlfq and srtf are of real time: the batch lane keeps the order of arrival, where nobody waits for
 * a single request.
 */
const policy = Type.Union([Type.Literal('fcfs'), Type.Literal('mlfq'), Type.Literal('srtf'), Type.Literal('edf'), Type.Literal('vtc')]);

/** Who is sent to an engine next, and who is refused before it waits in vain. */
export const admissionSchema = Type.Object(
  {
    policy,
    /**
     * `vtc`: the key that has had the fewest weighted tokens is next, of its tenants the one that has, and `policy` and `aging_ms` order
     * that one's requests.
     */
    fairness: Type.Union([Type.Literal('none'), Type.Literal('vtc')]),
    /**
     * Requests of each lane that may wait for a model that other servers run; more are refused with 429. The embedded model has
     * `model_config.max_queue`.
     */
    max_queue: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** Who has waited for so long in real time, or would, is refused with 429; the batch lane waits. */
    max_wait_ms: milliseconds,
    /** Who has waited for so long is overtaken by nobody of its lane any more (mlfq, srtf, edf). */
    aging_ms: milliseconds,
    /**
     * mlfq, srtf: each level holds requests of so many times the work of the one before; in the embedded engine, who runs for longer than
     * its level holds sinks.
     */
    priority_weight: Type.Number({ minimum: 1.01, maximum: 100 }),
    /** mlfq, srtf: the work of the first level, in milliseconds. */
    time_slice_ms: Type.Number({ minimum: 0.001, maximum: 1_000_000 }),
    /**
     * A sequence may be made to give its place to a shorter one, or the batch lane's to real time, until it has made this share of its
     * expected answer; 0: while its prompt is read. Who goes on beyond that is expected to end at `priority_weight` times what it has made.
     */
    preemption_share: Type.Number({ minimum: 0, maximum: 1 }),
    lanes: Type.Object(
      {
        /**
         * In the embedded engine, when requests in real time find no place: `preemption`, sequences of the batch lane give theirs;
         * `time_slice`, they keep them, but decode in their share of the steps only.
         */
        batch_yields: Type.Union([Type.Literal('preemption'), Type.Literal('time_slice')]),
        /**
         * Of what an engine can do at once, the batch lane has at least this share, however much comes in real time; so it has of texts to
         * embed or classify, before other servers with `max_batch_size`. Not all: real time would never be served.
         */
        batch_share_min: Type.Number({ minimum: 0, maximum: 0.95 }),
      },
      closed,
    ),
    /** How many requests at once are sent to each of the other servers; never more than its `max_outstanding`. */
    concurrency: Type.Object(
      {
        /** Found by the time to the first part; without it, `max_outstanding` is the limit. */
        adaptive: Type.Boolean(),
        initial: Type.Integer({ minimum: 1, maximum: 100_000 }),
        min: Type.Integer({ minimum: 1, maximum: 100_000 }),
        /** The first part may take so many times as long as where nobody waits. */
        tolerance: Type.Number({ minimum: 1, maximum: 100 }),
        /** And so many milliseconds longer in any case. */
        tolerance_ms: Type.Number({ minimum: 0, maximum: 60_000 }),
      },
      closed,
    ),
    /** `fairness: vtc` and the policy vtc: what a token of a prompt and one of an answer count for. */
    token_weights: Type.Object(
      { prompt: Type.Number({ minimum: 0, maximum: 1000 }), output: Type.Number({ minimum: 0, maximum: 1000 }) },
      closed,
    ),
  },
  closed,
);

export const defaultAdmission: Static<typeof admissionSchema> = {
  policy: 'mlfq',
  fairness: 'none',
  max_queue: 1024,
  max_wait_ms: 60_000,
  aging_ms: 5000,
  priority_weight: 1.5,
  time_slice_ms: 2,
  preemption_share: 0.5,
  lanes: { batch_yields: 'preemption', batch_share_min: 0.1 },
  concurrency: { adaptive: false, initial: 64, min: 4, tolerance: 1.5, tolerance_ms: 100 },
  token_weights: { prompt: 1, output: 2 },
};
