import { z } from 'zod';

const callbackUrlMaxLength = 2048;

/** Where the finished record of an asynchronous invocation is sent. */
export const callbackUrlSchema = z
  .string()
  .max(callbackUrlMaxLength)
  .superRefine((text, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    if (!URL.canParse(text)) return refuse('must be an absolute URL');
    const { protocol, username, password, port } = new URL(text);
    if (protocol !== 'https:' && protocol !== 'http:') refuse('must begin with https:// or http://');
    if (username !== '' || password !== '') refuse('must not have a user or a password in it');
    // An empty one is the protocol's own. Mail servers and the like are not talked to, whatever they make of HTTP.
    if (port !== '' && port !== '80' && port !== '443' && Number(port) < 1024)
      refuse('must have port 80 or 443, or one from 1024');
  });

/** In the record of an invocation that was asked to be called back. */
export const callbackStateSchema = z.object({
  url: z.string(),
  /** `failed`: it is not tried again. */
  status: z.enum(['pending', 'delivered', 'failed']),
  attempts: z.number().int(),
  /** The HTTP status of the last answer; absent where there was none. */
  lastStatus: z.number().int().optional(),
  /** Why the last attempt came to nothing. */
  lastError: z.string().optional(),
});
export type CallbackState = z.infer<typeof callbackStateSchema>;

/** Reply of `GET` and `POST /v1/callback-secret`. */
export const callbackSecretSchema = z.object({
  /** The key of the HMAC, as it stands here. */
  secret: z.string(),
  /** RFC 3339. */
  createdAt: z.string(),
  /** RFC 3339: till then deliveries are signed with the one before too. */
  previousUntil: z.string().optional(),
});
export type CallbackSecret = z.infer<typeof callbackSecretSchema>;
