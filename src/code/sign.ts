// Signs captured code: with GEARMILL_SECRET set, a worker runs only what someone who has the secret has sent.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { CaptureError } from '../errors.ts'

/** What a signature is made for: it is of no use for anything else. */
export type Purpose = 'code' | 'kernel' | 'script'

/** HMAC-SHA256, 32 bytes. */
export function signature(body: Uint8Array, secret: string, purpose: Purpose = 'code'): Buffer {
  return createHmac('sha256', secret).update(`gearmill ${purpose} 1\0`).update(body).digest()
}

/** Throws CAPTURE_SIGNATURE unless `mark` is the signature of `body`. */
export function verify(
  body: Uint8Array,
  mark: Uint8Array | undefined,
  secret: string,
  purpose: Purpose = 'code',
): void {
  if (mark === undefined)
    throw new CaptureError('CAPTURE_SIGNATURE', 'the code is not signed, and this worker has a secret')
  const expected = signature(body, secret, purpose)
  if (mark.length !== expected.length || !timingSafeEqual(mark, expected)) {
    throw new CaptureError('CAPTURE_SIGNATURE', 'the code is signed with another secret, or was changed')
  }
}
