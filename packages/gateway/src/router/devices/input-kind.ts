import type { GatewayRequest } from '@open-autoglm/protocol';
import type { InputKind } from '../../common/device-registry.ts';
import { hasImagePart } from '../../common/image-parts.ts';

/** What a request is made of: images need other devices than text, and so may answers that must have a form. */
export function inputKindOf({
  input,
  responseFormat,
  tools,
  body,
}: Pick<GatewayRequest, 'input' | 'responseFormat' | 'tools' | 'body'>): InputKind {
  if (input.kind === 'chat' && input.messages.some(({ wire }) => hasImagePart(wire?.['content']))) return 'image';
  const { response_format: format, tools: wireTools } = (body?.fields ?? {}) as {
    readonly response_format?: { readonly type?: unknown } | null;
    readonly tools?: unknown;
  };
  const isStructured =
    responseFormat !== undefined ||
    tools !== undefined ||
    (format && format.type !== 'text') ||
    (Array.isArray(wireTools) && wireTools.length > 0);
  return isStructured ? 'structured' : 'text';
}
