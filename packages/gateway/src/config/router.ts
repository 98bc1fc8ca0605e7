import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;

/** How requests are spread over the engines of a model, and what happens when one fails. */
export const routerSchema = Type.Object(
  {
    balance: Type.Union([Type.Literal('round_robin'), Type.Literal('least_outstanding')]),
    /** Engines that one request may be sent to, one after the other; an answer that has begun is never sent elsewhere. */
    tries_max: Type.Integer({ minimum: 1, maximum: 16 }),
  },
  closed,
);

export const defaultRouter: Static<typeof routerSchema> = { balance: 'least_outstanding', tries_max: 3 };
