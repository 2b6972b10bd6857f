// Matrix multiplication for dense blocks: OpenBLAS where the machine has it, else WebAssembly SIMD. Chosen once a process.
import { ConfigError } from '../../errors.ts'
import { findOpenBlas, openBlas } from './openblas.ts'
import type { Blas } from './product.ts'
import { wasmBlas } from './wasm.ts'

/** The environment variable that forces a choice: `openblas`, `wasm`, or the path of a library. */
export const blasVariable = 'GEARMILL_BLAS'

let chosen: Blas | undefined

/** This process' BLAS. Throws `CONFIG_INVALID` where GEARMILL_BLAS asks for what is not there. */
export function blas(): Blas {
  chosen ??= chooseBlas(process.env[blasVariable])
  return chosen
}

/** @param wish as GEARMILL_BLAS has it; empty or undefined: the best that there is */
export function chooseBlas(wish: string | undefined): Blas {
  if (wish === 'wasm') return wasmBlas()
  const asked = wish !== undefined && wish !== ''
  const found = findOpenBlas(asked && wish !== 'openblas' ? wish : undefined)
  if (found !== undefined) return openBlas(found)
  if (!asked) return wasmBlas()
  throw new ConfigError(
    'CONFIG_INVALID',
    `${blasVariable}: expected 'wasm' or an OpenBLAS that can be loaded, got '${wish}'`,
  )
}
