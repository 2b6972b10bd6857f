// What the worker has by name, so that it need not travel: exports of Node's modules, of npm packages and of Gearmill.
import { createRequire, isBuiltin } from 'node:module'
import { dirname, sep } from 'node:path'
import { dataOf, rareBuiltinReference } from './builtins.ts'
import type { Encoder } from './encoder.ts'
import { variableIn, type FunctionDetails } from './inspector.ts'
import type { ImportedName } from './module-names.ts'
import { ownModule } from './own-code.ts'
import { isInPackage, packageNameOf, specifierOf, versionFrom, vitePackage } from './packages.ts'
import type { Entry, Script } from './script.ts'
import type { Slot } from './wire.ts'

/** A live function, found in its script. */
export interface Known {
  readonly script: Script
  readonly entry: Entry
  readonly details: FunctionDetails
}

export class References {
  readonly #encoder: Encoder
  /** Exports of packages that modules got by import, so that they are recognised wherever they turn up. */
  readonly #imported = new Map<object, () => Slot>()
  readonly #modulesSeen = new Set<Script>()
  /** Versions of packages that may turn out to be used: specifier -> name and version. */
  readonly #candidates = new Map<string, readonly [string, string]>()

  constructor(encoder: Encoder) {
    this.#encoder = encoder
  }

  /** Learns what the module of a function imports. */
  note(script: Script, details: FunctionDetails): void {
    if (this.#modulesSeen.has(script)) return
    this.#modulesSeen.add(script)
    for (const [local, imported] of script.imports) {
      const scope = details.scopes.findLast((each) => Object.hasOwn(each, local))
      const value = scope && variableIn(scope, local)
      if ((typeof value !== 'object' && typeof value !== 'function') || value === null) continue
      const reference = this.imports(script, imported)
      if (reference === undefined) continue
      if (imported.name !== '*') {
        this.#imported.set(value, () => reference(imported.name))
        continue
      }
      // What stands for the namespace in vite's and the compilers' output is theirs, not the package's.
      const isImitation = imported.how === 'vite' || imported.wrapped === true
      if (!isImitation) this.#imported.set(value, () => reference('*'))
      for (const name of Object.keys(value)) {
        const member: unknown = Reflect.get(value, name)
        if ((typeof member !== 'function' && typeof member !== 'object') || member === null) continue
        if (!this.#imported.has(member)) this.#imported.set(member, () => reference(memberName(imported, value, name)))
      }
    }
  }

  /** @param known undefined for native functions. */
  ofFunction(value: object, known: Known | undefined): Slot | undefined {
    if (known === undefined || known.script.url.startsWith('node:')) return this.#rare(value)
    const imported = this.#imported.get(value)
    if (imported !== undefined) return imported()
    if (known.script.path === undefined) return undefined
    const { path } = known.script
    const own = ownModule(path)
    if (own === undefined && !isInPackage(path)) return undefined
    const exportedName = this.#exportedName(known, value)
    if (own !== undefined) {
      return exportedName && ['m', this.#encoder.module({ how: 'gearmill', specifier: own }), exportedName]
    }
    const specifier = specifierOf(path)
    if (exportedName !== undefined && specifier !== undefined) {
      return this.#packageSlot('import', specifier, path, exportedName)
    }
    const required = requiredName(value, path)
    return required && this.#packageSlot('require', required.specifier, path, required.name)
  }

  #rare(value: object): Slot | undefined {
    const reference = rareBuiltinReference(value)
    return reference && this.#encoder.builtin(reference)
  }

  /** The export of a package that this object is, if it came in by an import. */
  ofObject(value: object): Slot | undefined {
    return this.#imported.get(value)?.()
  }

  /** How the worker reaches the exports of an imported module; undefined for local modules, which go by value. */
  imports(script: Script, { specifier, how }: ImportedName): ((name: string) => Slot) | undefined {
    const encoder = this.#encoder
    const place = script.path === undefined ? process.cwd() : dirname(script.path)
    const wanted = how === 'vite' ? vitePackage(specifier, place) : specifier
    if (wanted === undefined) return undefined
    const self = /^gearmill(?:\/(.+))?$/.exec(wanted)
    if (self !== null) {
      const own = self[1] === undefined ? 'index' : `${self[1]}/index`
      return (name) => ['m', encoder.module({ how: 'gearmill', specifier: own }), name]
    }
    const isNode = packageNameOf(wanted) === undefined
    if (isNode && !isBuiltin(wanted)) return undefined
    const kind = how === 'require' ? 'require' : 'import'
    if (!isNode && !this.#notePackage(wanted, place)) return undefined
    const id = isNode && !wanted.startsWith('node:') ? `node:${wanted}` : wanted
    return (name) => ['m', encoder.module({ how: kind, specifier: id }), name]
  }

  #exportedName({ script, details }: Known, value: object): string | undefined {
    for (const [outside, local] of script.exported()) {
      if (details.scopes.some((each) => Object.hasOwn(each, local) && variableIn(each, local) === value)) return outside
    }
    return undefined
  }

  #notePackage(specifier: string, place: string): boolean {
    const name = packageNameOf(specifier)
    const version = name && versionFrom(name, place)
    if (name === undefined || version === undefined) return false
    this.#candidates.set(specifier, [name, version])
    return true
  }

  #packageSlot(how: 'import' | 'require', specifier: string, path: string, name: string): Slot | undefined {
    if (!this.#notePackage(specifier, dirname(path))) return undefined
    return ['m', this.#encoder.module({ how, specifier }), name]
  }

  packages(): ReadonlyMap<string, string> {
    const packages = new Map<string, string>()
    for (const { specifier } of this.#encoder.modules) {
      const candidate = this.#candidates.get(specifier)
      if (candidate !== undefined) packages.set(...candidate)
    }
    return packages
  }
}

/** In an imitation of a namespace `default` is the whole of a CommonJS module, unless that says that it was an ES module. */
export function memberName({ wrapped }: ImportedName, namespace: object, member: string): string {
  return wrapped && member === 'default' && Reflect.get(namespace, '__esModule') !== true ? '*' : member
}

/** Where a loaded CommonJS package exports a value: looked for in the file that made it, then in the package's other ones. */
function requiredName(value: object, path: string): { readonly specifier: string; readonly name: string } | undefined {
  const cache = createRequire(import.meta.url).cache
  const folder = path.slice(
    0,
    path.indexOf(sep, path.lastIndexOf(`${sep}node_modules${sep}`) + '/node_modules/'.length) + 1,
  )
  const files = [path, ...Object.keys(cache).filter((file) => file !== path && file.startsWith(folder))]
  for (const file of files) {
    const exported: unknown = cache[file]?.exports
    if ((typeof exported !== 'object' && typeof exported !== 'function') || exported === null) continue
    const name = exported === value ? '*' : Object.keys(exported).find((key) => dataOf(exported, key) === value)
    const specifier = name === undefined ? undefined : specifierOf(file)
    if (name !== undefined && specifier !== undefined) return { specifier, name }
  }
  return undefined
}
