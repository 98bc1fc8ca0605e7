import { AutoglmError } from '@open-autoglm/protocol';
import Type from 'typebox';
import type { Access } from './access.ts';
import { readJson } from './body.ts';
import type { Generations } from './generations.ts';
import type { FindResource } from './resource.ts';
import { sendJson } from './send-json.ts';
import { createValidator } from './validate.ts';

export interface CascadeRouteParts {
  readonly access: Access;
  readonly bodyLimitBytes: number;
  /** Whether this tenant was answered under this id lately. */
  readonly judge: (id: string, tenant: string, judgement: { readonly cheap_ok?: boolean | undefined; readonly strong_ok?: boolean | undefined }) => boolean;
}

const validate = createValidator(
  Type.Object(
    { id: Type.String({ minLength: 1, maxLength: 128 }), cheap_ok: Type.Optional(Type.Boolean()), strong_ok: Type.Optional(Type.Boolean()) },
    { additionalProperties: false },
  ),
);

/**
 *   POST /v1/cascade/feedback   id (the answer's), cheap_ok, strong_ok: which tier's answer was right, or would have been
 */
export function createCascadeRoutes({ access, bodyLimitBytes, judge }: CascadeRouteParts): (generations: Generations) => FindResource {
  return (generations) => (path) => {
    if (path !== '/v1/cascade/feedback') return undefined;
    return {
      methods: ['POST'],
      async serve({ message, response }) {
        const { tenant } = access.callerOf(message.headers);
        const { value } = await readJson(message, { limitBytes: bodyLimitBytes }, generations.take(response).abort.signal);
        if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
        const { id, ...judgement } = validate(value);
        if (judgement.cheap_ok === undefined && judgement.strong_ok === undefined) throw new AutoglmError('missing_parameter', "Missing required parameter: 'cheap_ok' or 'strong_ok'.", { param: 'cheap_ok' });
        if (!judge(id, tenant, judgement)) throw new AutoglmError('answer_not_found', `There is no recorded answer ${JSON.stringify(id)}, or not any more.`, { param: 'id' });
        sendJson(response, 200, { id, object: 'cascade.feedback', ...judgement });
      },
    };
  };
}
