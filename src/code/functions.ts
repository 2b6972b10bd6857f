// Encodes functions and classes: their source, the values of the names they use, and their own properties.
import { types } from 'node:util'
import type { MethodDefinition } from 'acorn'
import { dataOf, globalNames, unnamed } from './builtins.ts'
import type { Encoder } from './encoder.ts'
import { inspector, uninitialised, variableIn, type FunctionDetails, type Variables } from './inspector.ts'
import { importer, LiteralTable } from './literals.ts'
import type { ImportedName } from './module-names.ts'
import { lockOf } from './objects.ts'
import { isInPackage, specifierOf } from './packages.ts'
import { property, refuse, variable, type Path } from './refuse.ts'
import { hasPrivateMembers, scriptOf, type Entry, type Script } from './script.ts'
import { memberName, References, type Known } from './references.ts'
import { sharedCells, type Captured } from './shared-variables.ts'
import { computedMethods, keyNames, shapeOf, viteDynamicImport, type FreeName } from './shape.ts'
import { declaringScope, isAlwaysDefined, isClass } from './syntax.ts'
import type { Binding, Common, Property, Slot } from './wire.ts'

interface FunctionRecord {
  readonly id: number
  readonly value: object
  readonly script: Script
  readonly entry: Entry
  readonly captured: ReadonlyMap<string, Captured>
  readonly extras: Common
  readonly early: readonly string[]
}

const wrapperNames = new Set(['require', 'module', 'exports', '__dirname', '__filename'])
const importMetaNames = new Set(['__vite_ssr_import_meta__', 'import_meta'])
const usualPrototypes = new Set<unknown>([
  Function.prototype,
  unnamed['%AsyncFunction.prototype%'],
  unnamed['%GeneratorFunction.prototype%'],
  unnamed['%AsyncGeneratorFunction.prototype%'],
])

const packageHint = (path: string): string =>
  `It is a part of ${specifierOf(path) ?? path}: make the value where it is used, or with .with({ name: onWorker(() => ...) }).`

/** A name that stands for one value: no variable that anyone could assign. */
const fixed = (slot: Slot): Captured => ({
  ...{ slot, written: false, scope: undefined, declaredBy: undefined, isModuleLevel: false },
})

const textOf = (value: object): string => Function.prototype.toString.call(value)
const isNativeText = (text: string): boolean => text.endsWith('{ [native code] }')

export class FunctionEncoder {
  readonly literals = new LiteralTable()
  readonly cells: Slot[] = []
  /** Of cells that belong to a realm: index, and name there. */
  readonly realmCells: (readonly [number, string])[] = []
  /** Nodes that are classes. */
  readonly classes = new Set<number>()
  readonly #encoder: Encoder
  readonly #details = new Map<object, FunctionDetails>()
  readonly #known = new Map<object, Known | undefined>()
  readonly #records: FunctionRecord[] = []
  readonly #references: References

  constructor(encoder: Encoder) {
    this.#encoder = encoder
    this.#references = new References(encoder)
  }

  /** npm packages that the captured code imports: name -> version. */
  get packages(): ReadonlyMap<string, string> {
    return this.#references.packages()
  }

  #inspect(value: object): FunctionDetails {
    let details = this.#details.get(value)
    if (details === undefined) {
      details = inspector().inspect(value)
      this.#details.set(value, details)
    }
    return details
  }

  #find(value: object): Known | undefined {
    if (this.#known.has(value)) return this.#known.get(value)
    const text = textOf(value)
    let known: Known | undefined
    if (!isNativeText(text)) {
      const details = this.#inspect(value)
      if (details.location !== undefined) {
        const script = scriptOf(details.location.scriptId)
        const entry = script.find(text, details.location.line, details.location.column)
        if (entry !== undefined) known = { script, entry, details }
        this.#references.note(script, details)
      }
    }
    this.#known.set(value, known)
    return known
  }

  /** Whether the function is part of Node itself, but none of its public names. */
  isInternal(value: object): boolean {
    const text = textOf(value)
    if (isNativeText(text)) return true
    const { location } = this.#inspect(value)
    return location === undefined || inspector().script(location.scriptId).url.startsWith('node:')
  }

  hasPrivateMembers(value: object): boolean {
    if (!textOf(value).includes('#')) return false
    const node = this.#find(value)?.entry.node
    return node !== undefined && isClass(node) && hasPrivateMembers(node)
  }

  /** The name by which the worker has this function: an export of Node, of a package, or of Gearmill. */
  reference(value: object): Slot | undefined {
    return this.#references.ofFunction(value, isNativeText(textOf(value)) ? undefined : this.#find(value))
  }

  /** The export of a package that this object is, if it came in by an import. */
  packageReference(value: object): Slot | undefined {
    return this.#references.ofObject(value)
  }

  /** Whether a member of a class was made by its source, so that evaluating the source makes it again. */
  isWrittenIn(owner: object, descriptor: PropertyDescriptor, side: 'prototype' | 'static'): boolean {
    const known = this.#find(owner)
    if (known === undefined || !isClass(known.entry.node)) return false
    const texts = known.script.methodTexts(known.entry.node, side)
    const functions = ['value', 'get', 'set']
      .map((part) => dataOf(descriptor, part))
      .filter((each) => each !== undefined)
    return functions.every((each) => typeof each === 'function' && texts.has(textOf(each)))
  }

  encode(value: object, id: number, from: Path): void {
    const place = this.#find(value)?.script.path
    // A package's inner parts travel if they can; mostly they are not meant to.
    const path = place !== undefined && isInPackage(place) ? { ...from, hint: packageHint(place) } : from
    const text = textOf(value)
    const details = this.#inspect(value)
    if (details.bound !== undefined) {
      const { target, self, args } = details.bound
      this.#encoder.nodes[id] = {
        kind: 'bound',
        target: this.#encoder.slot(target, path),
        self: this.#encoder.slot(self, property(path, '<this>')),
        args: args.map((each, at) => this.#encoder.slot(each, property(path, `<argument ${at}>`))),
      }
      return
    }
    if (isNativeText(text)) throw refuse('CAPTURE_SOURCE', path, 'a native function without a global name')
    const known = this.#find(value)
    if (known === undefined) throw refuse('CAPTURE_SOURCE', path, 'its source cannot be found')
    if (known.script.url.startsWith('node:')) throw refuse('CAPTURE_SOURCE', path, 'a function inside of Node')
    const { entry, script } = known
    const shape = shapeOf(entry.node)
    if (shape.importMeta) throw refuse('CAPTURE_IMPORT_META', path, 'it uses import.meta')
    // A function declared with `function`, or a method, gets `this` from its caller; only arrows take it along.
    if (shape.lexical !== undefined) {
      throw refuse('CAPTURE_THIS', path, `it uses \`${shape.lexical}\` of the place where it was written`)
    }
    const captured = new Map<string, Captured>()
    for (const [name, free] of shape.free) {
      const found = this.#resolve(name, free, known, variable(path, name))
      if (found !== undefined) captured.set(name, found)
    }
    for (const { specifier } of shape.dynamicImports) {
      if (specifier !== undefined && this.literals.importedAs(script, specifier.value) === undefined) {
        throw refuse('CAPTURE_UNSUPPORTED', path, `it imports '${specifier.value}' when it runs`, {
          hint: 'Import local modules with a static import: then their functions travel along.',
        })
      }
      captured.set(importer, fixed(['i']))
    }
    if (isClass(entry.node)) this.classes.add(id)
    const extras = isClass(entry.node)
      ? this.#classExtras(value, known, path)
      : this.#functionExtras(value, entry, path)
    const early = keyNames(entry.node).filter((name) => captured.has(name))
    if (isClass(entry.node)) {
      for (const { member, name } of computedMethods(entry.node)) {
        const key = this.#keyOf(value, script, member)
        captured.set(name, fixed(this.#encoder.slot(key ?? name, path)))
        early.push(name)
      }
    }
    this.#records.push({ id, value, script, entry, captured, extras, early })
  }

  /** The key that a method with a computed one got: the names in it may be gone, as nothing but the class used them. */
  #keyOf(value: object, script: Script, member: MethodDefinition): string | symbol | undefined {
    const holder = member.static ? value : (Reflect.get(value, 'prototype') as object)
    const text = script.methodText(member)
    return Reflect.ownKeys(holder).find((key) =>
      ['value', 'get', 'set'].some((part) => {
        const method = dataOf(Reflect.getOwnPropertyDescriptor(holder, key) ?? {}, part)
        return typeof method === 'function' && textOf(method) === text
      }),
    )
  }

  #resolve(name: string, free: FreeName, known: Known, path: Path): Captured | undefined {
    const { script, entry, details } = known
    if (name === viteDynamicImport) return undefined
    if (importMetaNames.has(name)) throw refuse('CAPTURE_IMPORT_META', path, 'it uses import.meta')
    const scope = details.scopes.find((each) => Object.hasOwn(each, name))
    const declaredBy = declaringScope(entry.around, name)
    const { body, wrapper } = script.moduleScope
    const isModuleLevel = declaredBy !== undefined && (declaredBy === body || declaredBy === wrapper)
    const isWrapper = declaredBy === undefined || declaredBy === wrapper
    const value = scope && variableIn(scope, name)
    if (wrapperNames.has(name) && isWrapper && scope !== undefined) {
      if (name === 'exports' && free.members !== null && typeof value === 'object' && value !== null) {
        return fixed(this.#encoder.namespace(value, free.members, path))
      }
      throw refuse('CAPTURE_IMPORT_META', path, `it uses \`${name}\` of its module`)
    }
    if (typeof value === 'function' && Object.hasOwn(value, 'resolve') && Object.hasOwn(value, 'cache')) {
      throw refuse('CAPTURE_IMPORT_META', path, 'a `require` function')
    }
    const imported = isModuleLevel ? script.imports.get(name) : undefined
    if (imported !== undefined) {
      const slot = this.#resolveImport(imported, value, free, script, path)
      if (slot !== undefined) return fixed(slot)
    }
    const isUnset = value === undefined && declaredBy !== undefined && isAlwaysDefined(declaredBy, name)
    if (isUnset || value === uninitialised) {
      throw refuse('CAPTURE_UNKNOWN', path, 'it has no value yet')
    }
    if (scope === undefined) return this.#resolveGlobal(name, free, declaredBy !== undefined, path)
    return { slot: this.#encoder.slot(value, path), written: free.written, scope, declaredBy, isModuleLevel }
  }

  #resolveImport(imported: ImportedName, value: unknown, free: FreeName, script: Script, path: Path): Slot | undefined {
    const reference = this.#references.imports(script, imported)
    if (reference === undefined) {
      // Of a local module only what is used travels.
      if (imported.name !== '*' || free.members === null || !isNamespace(value, imported)) return undefined
      return this.#encoder.namespace(value, free.members, path)
    }
    if (imported.name !== '*' || typeof value !== 'object' || value === null) return reference(imported.name)
    if (imported.wrapped || (imported.how === 'vite' && free.members !== null)) {
      const slots = (member: string): Slot => reference(memberName(imported, value, member))
      return this.#encoder.namespace(value, free.members ?? undefined, path, slots)
    }
    return reference('*')
  }

  #resolveGlobal(name: string, free: FreeName, isDeclared: boolean, path: Path): Captured | undefined {
    if (isDeclared) throw refuse('CAPTURE_UNKNOWN', path, 'it has no value yet')
    if (globalNames.has(name) || free.guarded) return undefined
    if (!(name in globalThis)) throw refuse('CAPTURE_UNKNOWN', path, 'no variable of this name can be seen from it')
    return fixed(this.#encoder.slot(Reflect.get(globalThis, name), path))
  }

  #functionExtras(value: object, entry: Entry, path: Path): Common {
    const props: Property[] = this.#encoder.properties(value, path, (key, descriptor) => {
      if (key === 'name') return descriptor.value === entry.name
      return key === 'length' || key === 'prototype' || ((key === 'arguments' || key === 'caller') && !entry.strict)
    })
    const proto: unknown = Reflect.getPrototypeOf(value)
    const own: unknown = Reflect.getOwnPropertyDescriptor(value, 'prototype')?.value
    if (typeof own === 'object' && own !== null && isFilledPrototype(own))
      this.#encoder.slot(own, property(path, 'prototype'))
    return {
      ...(!usualPrototypes.has(proto) && { proto: this.#encoder.slot(proto, property(path, '__proto__')) }),
      ...(props.length > 0 && { props }),
      ...lockOf(value),
    }
  }

  #classExtras(value: object, known: Known, path: Path): Common {
    const { node } = known.entry
    if (!isClass(node)) return {}
    const secret = node.body.body.find(
      (member) => member.type === 'PropertyDefinition' && member.static && member.key.type === 'PrivateIdentifier',
    )
    if (secret !== undefined) throw refuse('CAPTURE_PRIVATE', path, 'a class with a static #private field')
    const props = this.#encoder.properties(value, path, (key, descriptor) => {
      if (key === 'name' && typeof descriptor.value === 'string') return descriptor.value === known.entry.name
      return key === 'length' || key === 'prototype' || this.isWrittenIn(value, descriptor, 'static')
    })
    const proto = Reflect.getPrototypeOf(value)
    // The prototype is a node of its own if anything about it does not come from the source.
    const prototype = Reflect.get(value, 'prototype') as object
    const isPlain =
      Reflect.getPrototypeOf(prototype) === Object.prototype &&
      Reflect.ownKeys(prototype).every(
        (key) =>
          key === 'constructor' ||
          this.isWrittenIn(value, Reflect.getOwnPropertyDescriptor(prototype, key) ?? {}, 'prototype'),
      )
    if (!isPlain) this.#encoder.slot(prototype, property(path, 'prototype'))
    return {
      ...(proto !== Function.prototype && { proto: this.#encoder.slot(proto, property(path, '__proto__')) }),
      ...(props.length > 0 && { props }),
      ...lockOf(value),
    }
  }

  #cells(): ReadonlyMap<Captured, number> {
    const { realm } = this.#encoder
    if (realm === undefined) return sharedCells(this.#records, this.cells)
    const inspect = (value: object): readonly Variables[] => this.#inspect(value).scopes
    return realm.cells(this.#records, inspect, this.cells, this.realmCells)
  }

  /** Decides which variables are shared, and writes the nodes. */
  finish(): void {
    const cellOf = this.#cells()
    for (const record of this.#records) {
      const cellNames = new Set<string>()
      const bindings = [...record.captured].map(([name, captured]): Binding => {
        const cell = cellOf.get(captured)
        if (cell === undefined) return [name, captured.slot]
        cellNames.add(name)
        return [name, ['c', cell]]
      })
      const literal = this.literals.add(record.script, record.entry, [...record.captured.keys()], cellNames)
      this.#encoder.nodes[record.id] = {
        kind: 'function',
        literal,
        bindings,
        ...(record.early.length > 0 && { early: record.early }),
        ...record.extras,
      }
    }
  }
}

const isFilledPrototype = (prototype: object): boolean =>
  Reflect.ownKeys(prototype).some((key) => key !== 'constructor') ||
  (Object.hasOwn(prototype, 'constructor') && Reflect.getPrototypeOf(prototype) !== Object.prototype)

function isNamespace(value: unknown, { how }: ImportedName): value is object {
  if (typeof value !== 'object' || value === null) return false
  return how !== 'import' || types.isModuleNamespaceObject(value)
}
