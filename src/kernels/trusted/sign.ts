// Signatures of trusted kernels: who has GEARMILL_SECRET says that this source may run under this name with all rights.
import { signature, verify } from '../../code/sign.ts'
import { CaptureError, KernelError } from '../../errors.ts'
import type { KernelSource } from '../step.ts'

const bodyOf = (name: string, source: string): Buffer => Buffer.from(`${name}\0${source}`)

/** What `KernelSource.signature` has to be. 32 bytes. */
export function signKernel(name: string, source: string, secret: string): Buffer {
  return signature(bodyOf(name, source), secret, 'kernel')
}

/** Throws KERNEL_SIGNATURE. Without a secret nothing is asked for, as with all code that clients ship. */
export function checkKernel({ name, source, signature: mark }: KernelSource, secret: string | undefined): void {
  if (secret === undefined) return
  try {
    verify(bodyOf(name, source), mark, secret, 'kernel')
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error
    throw new KernelError('KERNEL_SIGNATURE', `the trusted kernel '${name}' does not run here: ${error.message}`, {
      kernel: name,
    })
  }
}
