// Makes the values of captured code. Everything is allocated first and filled in afterwards, as values may refer to each other.
import { CaptureError } from '../errors.ts'
import { unnamed } from './builtins.ts'
import type { Factory, Instance } from './compile.ts'
import { exportOf, read, type Import } from './modules.ts'
import type { Common, Property, Slot, WireDocument, WireNode } from './wire.ts'

export interface Surroundings {
  readonly blobs: readonly Uint8Array[]
  readonly factories: readonly Factory[]
  /** Loaded modules, in the order of the document. */
  readonly modules: readonly object[]
  readonly known: ReadonlyMap<string, unknown>
  readonly load: Import
  readonly realm: RealmState | undefined
}

interface Cell {
  v: unknown
}

/** What the code of one realm has in this process: variables and objects by their names in the realm. */
export class RealmState {
  readonly objects = new Map<string, object>()
  readonly cells = new Map<string, Cell>()
}

const hole = Symbol('hole')

export class Decoder {
  readonly #document: WireDocument
  readonly #around: Surroundings
  readonly #values: (object | undefined)[] = []
  readonly #instances = new Map<number, Instance>()
  readonly #cells: Cell[]

  constructor(document: WireDocument, around: Surroundings) {
    this.#document = document
    this.#around = around
    this.#cells = document.cells.map(() => ({ v: undefined }))
  }

  decode(): unknown[] {
    const { nodes, cells, roots } = this.#document
    const kept = this.#findKept()
    for (const id of nodes.keys()) this.#value(id)
    const made = [...nodes.entries()].filter(([id]) => !kept.nodes.has(id))
    // Maps and sets hash their keys by identity, so that the order of filling does not matter; only locks come last.
    for (const [id, node] of made) this.#fill(node, id)
    cells.forEach((slot, at) => {
      const cell = this.#cells[at]
      if (cell !== undefined && !kept.cells.has(at)) cell.v = this.read(slot)
    })
    for (const [id, node] of made) this.#lock(node, id)
    this.#keep()
    return roots.map((slot) => this.read(slot))
  }

  /** Takes what the realm has already: it stays as it is. */
  #findKept(): { readonly nodes: ReadonlySet<number>; readonly cells: ReadonlySet<number> } {
    const nodes = new Set<number>()
    const cells = new Set<number>()
    const { realm } = this.#around
    for (const [id, name] of this.#document.realm?.nodes ?? []) {
      const value = realm?.objects.get(name)
      if (value === undefined) continue
      this.#values[id] = value
      nodes.add(id)
    }
    for (const [at, name] of this.#document.realm?.cells ?? []) {
      const cell = realm?.cells.get(name)
      if (cell === undefined) continue
      this.#cells[at] = cell
      cells.add(at)
    }
    return { nodes, cells }
  }

  #keep(): void {
    const { realm } = this.#around
    for (const [id, name] of this.#document.realm?.nodes ?? []) realm?.objects.set(name, this.#value(id))
    for (const [at, name] of this.#document.realm?.cells ?? []) realm?.cells.set(name, this.#cells[at] as Cell)
  }

  read(slot: Slot): unknown {
    if (slot === null || typeof slot !== 'object') return slot
    switch (slot[0]) {
      case '#':
        return this.#value(slot[1])
      case 'u':
        return undefined
      case 'h':
        return hole
      case 'n':
        return slot[1] === '-0' ? -0 : Number(slot[1])
      case 'b':
        return BigInt(slot[1])
      case 's':
        return read(Symbol, slot[1])
      case 'r':
        return Symbol.for(slot[1])
      case 'c':
        return this.#cells[slot[1]]
      case 'i':
        return this.#around.load
      case 'k':
        return this.#known(slot[1])
      case 'g': {
        const [, first, ...rest] = slot
        if (first === undefined) return globalThis
        return rest.reduce(read, unnamed[first] ?? read(globalThis, first))
      }
      case 'm': {
        const [, id, ...path] = slot
        const module = this.#document.modules[id]
        const namespace = this.#around.modules[id]
        if (module === undefined || namespace === undefined) throw damaged(`module ${id} is missing`)
        return exportOf(namespace, module.how, path)
      }
    }
  }

  #known(name: string): unknown {
    if (!this.#around.known.has(name))
      throw new CaptureError('CAPTURE_LOAD', `this executor has nothing named '${name}'`)
    return this.#around.known.get(name)
  }

  #object(slot: Slot): object {
    const value = this.read(slot)
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null)
      throw damaged('an object was expected')
    return value
  }

  #value(id: number): object {
    let value = this.#values[id]
    if (value === undefined) {
      const node = this.#document.nodes[id]
      if (node === undefined) throw damaged(`value ${id} is missing`)
      value = this.#allocate(node, id)
      this.#values[id] = value
    }
    return value
  }

  #allocate(node: WireNode, id: number): object {
    switch (node.kind) {
      case 'object':
        // With its prototype from the start: changing it later would make the object slow.
        if (node.proto === null) return Object.create(null) as object
        return node.proto === undefined ? {} : (Object.create(this.#object(node.proto)) as object)
      case 'namespace':
        return Object.create(null) as object
      case 'array':
        return []
      case 'map':
        return new Map()
      case 'set':
        return new Set()
      case 'date':
        return new Date(this.read(node.time) as number)
      case 'regexp':
        return new RegExp(node.source, node.flags)
      case 'error':
        return new Error()
      case 'boxed':
        return Object(this.read(node.value)) as object
      case 'url':
        return new URL(node.text)
      case 'query':
        return new URLSearchParams(node.text)
      case 'encoder':
        return new TextEncoder()
      case 'decoder':
        return new TextDecoder(node.encoding, { fatal: node.fatal, ignoreBOM: node.ignoreBOM })
      case 'intl':
        return this.#intl(node)
      case 'bytes':
        return this.#blob(node.blob).slice().buffer
      case 'buffer':
        return Buffer.from(this.#blob(node.blob))
      case 'view': {
        const View = Reflect.get(globalThis, node.name) as new (of: object, offset: number, length: number) => object
        return new View(this.#object(node.of), node.offset, node.length)
      }
      case 'prototype':
        return Reflect.get(this.#object(node.of), 'prototype') as object
      case 'bound':
        // bind() needs its target and arguments now; a cycle through a bound function ends in the check of #object.
        return Function.prototype.bind.call(
          this.#object(node.target) as () => unknown,
          this.read(node.self),
          ...node.args.map((slot) => this.read(slot)),
        )
      case 'function': {
        const factory = this.#around.factories[node.literal]
        if (factory === undefined) throw damaged(`source ${node.literal} is missing`)
        const instance = factory()
        this.#instances.set(id, instance)
        if (node.early !== undefined) {
          const early = new Set(node.early)
          instance.bind(node.bindings.map(([name, slot]) => (early.has(name) ? this.read(slot) : undefined)))
        }
        return instance.make()
      }
    }
  }

  #blob(at: number): Uint8Array {
    const blob = this.#around.blobs[at]
    if (blob === undefined) throw damaged(`buffer ${at} is missing`)
    return blob
  }

  #intl(node: Extract<WireNode, { kind: 'intl' }>): object {
    const Formatter = Reflect.get(Intl, node.name) as new (locale: string, options: object) => object
    const options = this.#object(node.options)
    if (typeof node.options === 'object' && node.options?.[0] === '#') {
      const id = node.options[1]
      const content = this.#document.nodes[id]
      if (content !== undefined) this.#properties(options, content.props)
    }
    return new Formatter(node.locale, options)
  }

  #fill(node: WireNode, id: number): void {
    const value = this.#value(id)
    if (node.proto !== undefined && node.kind !== 'object') {
      const proto = node.proto === null ? null : this.#object(node.proto)
      if (Reflect.getPrototypeOf(value) !== proto) Reflect.setPrototypeOf(value, proto)
    }
    switch (node.kind) {
      case 'array': {
        const array = value as unknown[]
        node.items.forEach((slot, at) => {
          const item = this.read(slot)
          if (item !== hole) array[at] = item
        })
        array.length = node.items.length
        break
      }
      case 'map':
        for (const [key, item] of node.entries) Map.prototype.set.call(value, this.read(key), this.read(item))
        break
      case 'set':
        for (const slot of node.items) Set.prototype.add.call(value, this.read(slot))
        break
      case 'regexp':
        Reflect.set(value, 'lastIndex', node.lastIndex)
        break
      case 'error':
        Reflect.deleteProperty(value, 'stack')
        break
      case 'namespace':
        for (const [name, slot] of node.members) Reflect.set(value, name, this.read(slot))
        break
      case 'function':
        this.#instances.get(id)?.bind(node.bindings.map(([, slot]) => this.read(slot)))
        break
      default:
    }
    this.#properties(value, node.props)
  }

  #properties(value: object, properties: readonly Property[] = []): void {
    for (const property of properties) {
      const flags = property.at(-1) as number
      const enumerable = (flags & 2) !== 0
      const configurable = (flags & 4) !== 0
      const key = this.read(property[0]) as string | symbol
      const descriptor =
        property.length === 3
          ? { value: this.read(property[1]), writable: (flags & 1) !== 0, enumerable, configurable }
          : { ...this.#accessors(property), enumerable, configurable }
      // Plain assignment is what most properties are, and makes faster objects.
      if (flags === 7 && 'value' in descriptor && !(key in value)) Reflect.set(value, key, descriptor.value)
      else Reflect.defineProperty(value, key, descriptor)
    }
  }

  #accessors([, getter, setter]: Property): PropertyDescriptor {
    const get = this.read(getter) as (() => unknown) | undefined
    const set = this.read(setter) as ((value: unknown) => void) | undefined
    return { ...(get && { get }), ...(set && { set }) }
  }

  #lock({ lock }: Common, id: number): void {
    if (lock === undefined) return
    const value = this.#value(id)
    if (lock === 'frozen') Object.freeze(value)
    else if (lock === 'sealed') Object.seal(value)
    else Object.preventExtensions(value)
  }
}

const damaged = (what: string): CaptureError => new CaptureError('CAPTURE_LOAD', `captured code is damaged: ${what}`)
