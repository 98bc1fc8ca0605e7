import Type, { type Static } from 'typebox';

/** Pages of other origins that may use this server from their scripts; none when not given. */
export const corsSchema = Type.Object(
  {
    /** As browsers send them: `https://app.example.com`, without a path; `*` is every page there is. */
    origins: Type.Array(Type.String({ minLength: 1 }), { maxItems: 1000 }),
    /** How long a browser may remember what it was allowed. */
    max_age_seconds: Type.Integer({ minimum: 0, maximum: 86_400 }),
  },
  { additionalProperties: false },
);

export type CorsConfig = Static<typeof corsSchema>;

export const defaultCors: CorsConfig = { origins: [], max_age_seconds: 600 };

/** An origin that no browser ever sends would be passed over. */
export function problemOfCors({ origins }: CorsConfig): { readonly index: number; readonly reason: string } | undefined {
  const index = origins.findIndex((origin) => origin !== '*' && !isOrigin(origin));
  return index === -1
    ? undefined
    : {
        index,
        reason: `is ${JSON.stringify(origins[index])}, and must be an origin such as https://app.example.com, without a path and in small letters, or *`,
      };
}

/** Also of pages that an application brings with it: `capacitor://localhost`. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol, host } = new URL(text);
  return origin === 'null' ? `${protocol}//${host}` === text && host !== '' : origin === text;
}
