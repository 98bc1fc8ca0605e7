/** Whether a message's content, as a client wrote it, shows an image. */
export function hasImagePart(content: unknown): boolean {
  return (
    Array.isArray(content) &&
    content.some((part: { readonly type?: unknown } | null) => part?.type === 'image_url' || part?.type === 'input_image')
  );
}

/** The same of a whole chat request that nobody has checked yet. */
export function showsImages(body: unknown): boolean {
  const { messages } = (body ?? {}) as { readonly messages?: unknown };
  return Array.isArray(messages) && messages.some((message: { readonly content?: unknown } | null) => hasImagePart(message?.content));
}
