// Captures functions together with everything they use, as bytes that another process can load.
import { createHash } from 'node:crypto'
import { refreshBuiltins } from './builtins.ts'
import { Encoder } from './encoder.ts'
import { restInspector } from './inspector.ts'
import { rootPath } from './refuse.ts'
import type { CaptureRealm } from './realm.ts'
import { pack, type Slot } from './wire.ts'

export interface Root {
  /** A function, or a value that functions get. */
  readonly value: unknown
  /** Where it came from, for refusals: `filter(...) at app.ts:12`. */
  readonly label: string
}

export interface CapturedCode {
  /** SHA-256 of `bytes`, in hex. */
  readonly hash: string
  readonly bytes: Uint8Array
  /** npm packages that the code imports: name -> the version seen here. */
  readonly packages: Readonly<Record<string, string>>
}

export interface CaptureOptions {
  /** Objects that each executor has by name, such as the mill: they are not captured. */
  readonly known?: ReadonlyMap<object, string>
  /** Signs the code; see GEARMILL_SECRET. */
  readonly secret?: string
  /** Code captured in one realm shares variables and objects with what was captured in it before. */
  readonly realm?: CaptureRealm
}

/**
 * Captures functions and values. Functions captured together share the variables that they shared here; capturing the same
 * functions with the same values gives the same hash.
 * @throws CaptureError `CAPTURE_*`, naming the path that led to what cannot travel.
 * @example const { hash, bytes } = captureCode([{ value: (n: number) => n * factor, label: 'map(...) at app.ts:3' }])
 */
export function captureCode(roots: readonly Root[], options: CaptureOptions = {}): CapturedCode {
  refreshBuiltins()
  const encoder = new Encoder(options.known ?? new Map(), options.realm)
  try {
    const slots = roots.map(({ value, label }) => encoder.encode(value, rootPath(label)))
    return packed(encoder, slots, options.secret)
  } finally {
    restInspector()
  }
}

function packed(encoder: Encoder, roots: readonly Slot[], secret: string | undefined): CapturedCode {
  const nodes = encoder.finish()
  const { functions, modules, blobs } = encoder
  const packages = Object.fromEntries([...functions.packages].sort(([a], [b]) => (a < b ? -1 : 1)))
  const document = {
    roots,
    nodes,
    cells: functions.cells,
    literals: functions.literals.literals,
    files: functions.literals.files,
    modules,
    packages,
    blobs: blobs.map(({ byteLength }) => byteLength),
    ...(encoder.realm === undefined ? {} : { realm: { nodes: encoder.sharedNodes(), cells: functions.realmCells } }),
  }
  const bytes = pack(document, blobs, secret)
  return { hash: createHash('sha256').update(bytes).digest('hex'), bytes, packages }
}
