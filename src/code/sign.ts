// Signs captured code: with GEARMILL_SECRET set, a worker runs only what someone who has the secret has sent.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { CaptureError } from '../errors.ts'

// Named, so that a signature made for code is of no use anywhere else.
const purpose = 'gearmill code 1\0'

/** HMAC-SHA256, 32 bytes. */
export function signature(body: Uint8Array, secret: string): Buffer {
  return createHmac('sha256', secret).update(purpose).update(body).digest()
}

/** Throws CAPTURE_SIGNATURE unless `mark` is the signature of `body`. */
export function verify(body: Uint8Array, mark: Uint8Array | undefined, secret: string): void {
  if (mark === undefined)
    throw new CaptureError('CAPTURE_SIGNATURE', 'the code is not signed, and this worker has a secret')
  const expected = signature(body, secret)
  if (mark.length !== expected.length || !timingSafeEqual(mark, expected)) {
    throw new CaptureError('CAPTURE_SIGNATURE', 'the code is signed with another secret, or was changed')
  }
}
