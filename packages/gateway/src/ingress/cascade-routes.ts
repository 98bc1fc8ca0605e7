import { AutoglmError } from '@open-autoglm/protocol';
import Type from 'typebox';
import type { Access } from './access.ts';
import { readJson } from './body.ts';
import type { Generations } from './generations.ts';
import type { FindResource } from './resource.ts';
import { sendJson } from './send-json.ts';
import { tenantOf } from './tenant.ts';
import { createValidator } from './validate.ts';

/** What became of a judgement: written; of no answer that is known; the side was judged otherwise before; there is no room for it now. */
type JudgementResult = 'recorded' | 'unknown' | 'judged' | 'dropped';

export interface CascadeRouteParts {
  readonly access: Access;
  readonly bodyLimitBytes: number;
  readonly judge: (
    id: string,
    tenant: string,
    judgement: { readonly cheap_ok?: boolean | undefined; readonly strong_ok?: boolean | undefined },
  ) => JudgementResult;
}

const validate = createValidator(
  Type.Object(
    {
      id: Type.String({ minLength: 1, maxLength: 128 }),
      cheap_ok: Type.Optional(Type.Boolean()),
      strong_ok: Type.Optional(Type.Boolean()),
      autoglm: Type.Optional(
        Type.Object({ tenant: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })) }, { additionalProperties: false }),
      ),
    },
    { additionalProperties: false },
  ),
);

const refusals: Readonly<Record<Exclude<JudgementResult, 'recorded'>, (id: string) => AutoglmError>> = {
  unknown: (id) =>
    new AutoglmError('answer_not_found', `There is no recorded answer ${JSON.stringify(id)}, or not any more.`, { param: 'id' }),
  judged: (id) =>
    new AutoglmError('invalid_value', `Invalid value for 'id': the answer ${JSON.stringify(id)} has been judged otherwise already.`, {
      param: 'id',
    }),
  dropped: () =>
    new AutoglmError(
      'storage_unavailable',
      'The judgement is not recorded: the file is full (tiers.record.bytes_max), or the disk too slow.',
      { retryAfterSeconds: 60 },
    ),
};

/**
 *   POST /v1/cascade/feedback id (the answer's), cheap_ok, strong_ok: which tier's answer was right, or would have been; autoglm.tenant
 *   where the question had it
 */
export function createCascadeRoutes({ access, bodyLimitBytes, judge }: CascadeRouteParts): (generations: Generations) => FindResource {
  return (generations) => (path) => {
    if (path !== '/v1/cascade/feedback') return undefined;
    return {
      methods: ['POST'],
      async serve({ message, response }) {
        access.identify(message.headers);
        const { value } = await readJson(message, { limitBytes: bodyLimitBytes }, generations.take(response).abort.signal);
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
        const { id, autoglm, ...judgement } = validate(value);
        const tenant = tenantOf(message.headers, autoglm?.tenant);
        await generations.admitCall(message, tenant, response);
        if (judgement.cheap_ok === undefined && judgement.strong_ok === undefined)
          throw new AutoglmError('missing_parameter', "Missing required parameter: 'cheap_ok' or 'strong_ok'.", { param: 'cheap_ok' });
        const result = judge(id, tenant, judgement);
        if (result !== 'recorded') throw refusals[result](id);
        sendJson(response, 200, { id, object: 'cascade.feedback', ...judgement });
      },
    };
  };
}
