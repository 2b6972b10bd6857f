// Loads captured code in an executor.
import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CaptureError } from '../errors.ts'
import { compileLiterals, type CodeCache, type Factory } from './compile.ts'
import { Decoder, type RealmState } from './decode.ts'
import { importFrom, loadModule } from './modules.ts'
import { checkPackages } from './packages.ts'
import { unpack, type WireDocument } from './wire.ts'

export { RealmState } from './decode.ts'
export { checkPackages } from './packages.ts'
export type { CodeCache } from './compile.ts'

export interface LoadOptions {
  /** What the names of captured known objects mean here. */
  readonly known: ReadonlyMap<string, unknown>
  /** File URL of a file, or of a folder with a slash at its end, from whose place npm packages are resolved. */
  readonly base: string
  /** Refuses code that is not signed with it. */
  readonly secret?: string
  /** Keeps V8's compiled form of large sources between processes. */
  readonly cache?: CodeCache
  /** What code of the same realm has left here, and finds again. */
  readonly realm?: RealmState
}

interface Compiled {
  readonly document: WireDocument
  readonly blobs: readonly Uint8Array[]
  readonly factories: readonly Factory[]
}

// Loading again what was just loaded is the usual case: one entry per pipeline that this executor works on.
const keptPrograms = 64
const compiled = new Map<string, Compiled>()

function compileOnce(bytes: Uint8Array, { secret, cache }: LoadOptions): Compiled {
  const hash = createHash('sha256').update(bytes).digest('hex')
  // The secret is part of the key, so that nothing which was loaded without a check passes one.
  const key = secret === undefined ? hash : `${hash} ${createHash('sha256').update(secret).digest('hex')}`
  let program = compiled.get(key)
  if (program === undefined) {
    const { document, blobs } = unpack(bytes, secret)
    program = { document, blobs, factories: compileLiterals(document, cache, hash) }
  }
  compiled.delete(key)
  compiled.set(key, program)
  for (const oldest of compiled.keys()) {
    if (compiled.size <= keptPrograms) break
    compiled.delete(oldest)
  }
  return program
}

/**
 * Makes the functions and values of captured code, in the order of the roots. Sources are compiled once per process; each call
 * makes values and variables of its own.
 * @throws CaptureError `CAPTURE_SIGNATURE`, `CAPTURE_PACKAGE` (missing, or another major version), `CAPTURE_LOAD`.
 */
export async function loadCode(bytes: Uint8Array, options: LoadOptions): Promise<readonly unknown[]> {
  const { document, blobs, factories } = compileOnce(bytes, options)
  const folder = options.base.endsWith('/') ? fileURLToPath(options.base) : dirname(fileURLToPath(options.base))
  const problems = checkPackages(document.packages, folder)
  if (problems.length > 0)
    throw new CaptureError('CAPTURE_PACKAGE', `${problems.join('; ')} (looked for from ${folder})`)
  const load = importFrom(options.base)
  const modules = await Promise.all(document.modules.map((module) => loadModule(module, options.base, load)))
  return new Decoder(document, { blobs, factories, modules, known: options.known, load, realm: options.realm }).decode()
}
