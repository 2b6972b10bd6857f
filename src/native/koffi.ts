// The foreign function interface. It comes with the first call into a library: loading it takes longer than all else that a
// process without shared buffers does with native code.
import { createRequire } from 'node:module'
import type koffi from 'koffi'

let loaded: typeof koffi | undefined

export function foreign(): typeof koffi {
  loaded ??= createRequire(import.meta.url)('koffi') as typeof koffi
  return loaded
}
