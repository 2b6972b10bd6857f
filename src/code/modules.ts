// Imports on the worker: npm packages from its own place, Node's modules, and Gearmill's own.
import { createRequire, isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { compileFunction, constants } from 'node:vm'
import { CaptureError } from '../errors.ts'
import { checkPackages, packageNameOf } from './packages.ts'
import type { WireModule } from './wire.ts'

export type Import = (specifier: string, options?: ImportCallOptions) => Promise<object>

// This module's own extension tells whether Gearmill runs from its sources (in tests) or as built.
const extension = /\.[cm]?[jt]s$/.exec(new URL(import.meta.url).pathname)?.[0] ?? '.js'

/** `import()` as if written in a module at `base` (a file URL). */
export function importFrom(base: string): Import {
  const filename = base.endsWith('/') ? `${fileURLToPath(base)}gearmill-shipped.mjs` : fileURLToPath(base)
  const load = compileFunction('return import(specifier, options)', ['specifier', 'options'], {
    filename,
    // The main loader resolves by the name of the file that the call stands in; nothing else gives ESM resolution from a place
    // that is chosen at run time.
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }) as Import
  return async (specifier, options) => {
    try {
      return await withoutWarning(() => load(specifier, options))
    } catch (cause) {
      throw missing(specifier, base, cause)
    }
  }
}

// Node 20 and 22 call this use of import() experimental, on stderr of every process that does it.
function withoutWarning<T>(start: () => T): T {
  const emit = Reflect.get(process, 'emitWarning')
  process.emitWarning = () => undefined
  try {
    return start()
  } finally {
    process.emitWarning = emit
  }
}

function missing(specifier: string, base: string, cause: unknown): unknown {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const name = packageNameOf(specifier)
  if (name === undefined || (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND')) return cause
  // A package that is there, but lacks one of its own dependencies, is another error.
  if (checkPackages({ [name]: '0' }, dirname(fileURLToPath(base)))[0]?.includes('not installed') !== true) return cause
  return new CaptureError('CAPTURE_PACKAGE', `package '${name}' is not installed at ${dirname(fileURLToPath(base))}`, {
    cause,
  })
}

/** Loads one module that captured code refers to. */
export async function loadModule({ how, specifier }: WireModule, base: string, load: Import): Promise<object> {
  if (how === 'gearmill') {
    // Code may be anyone's: it names modules of Gearmill, not paths.
    const url = new URL(`../${specifier}${extension}`, import.meta.url)
    if (!url.href.startsWith(new URL('..', import.meta.url).href)) {
      throw new CaptureError('CAPTURE_LOAD', `'${specifier}' is no module of Gearmill`)
    }
    return (await import(/* @vite-ignore */ url.href)) as object
  }
  if (how === 'require' && !isBuiltin(specifier)) {
    const from = base.endsWith('/') ? pathToFileURL(join(fileURLToPath(base), 'gearmill-shipped.cjs')) : base
    try {
      const exported: unknown = createRequire(from)(specifier)
      return { '*': exported }
    } catch (cause) {
      throw missing(specifier, base, cause)
    }
  }
  const namespace = await load(specifier)
  return how === 'require' ? { '*': Reflect.get(namespace, 'default') as unknown } : namespace
}

/** One export. CommonJS packages may show their exports on the default one only. */
export function exportOf(namespace: object, how: WireModule['how'], path: readonly string[]): unknown {
  const [name = '*', ...rest] = path
  let value: unknown
  if (how === 'require') {
    const exported = Reflect.get(namespace, '*') as unknown
    value = name === '*' ? exported : read(exported, name)
  } else if (name === '*') value = namespace
  else if (name in namespace) value = Reflect.get(namespace, name)
  else value = read(Reflect.get(namespace, 'default'), name)
  return rest.reduce(read, value)
}

export function read(object: unknown, key: string): unknown {
  if ((typeof object !== 'object' && typeof object !== 'function') || object === null) return undefined
  return Reflect.get(object, key.startsWith('@@') ? (Reflect.get(Symbol, key.slice(2)) as symbol) : key) as unknown
}
