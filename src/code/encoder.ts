// Turns live values into the nodes of the wire format. Identity is kept: one object is one node, however often it is reached.
import { types } from 'node:util'
import { builtinReference, type BuiltinReference } from './builtins.ts'
import { FunctionEncoder } from './functions.ts'
import { encodeObject } from './objects.ts'
import type { CaptureRealm } from './realm.ts'
import { property, refuse, type Path } from './refuse.ts'
import type { Property, Slot, WireModule, WireNode } from './wire.ts'

const wellKnownSymbols = new Map<symbol, string>()
for (const name of Reflect.ownKeys(Symbol)) {
  const value: unknown = Reflect.get(Symbol, name)
  if (typeof value === 'symbol' && typeof name === 'string') wellKnownSymbols.set(value, name)
}

interface NamespaceRecord {
  readonly id: number
  readonly members: Map<string, Slot>
}

export class Encoder {
  readonly nodes: (WireNode | undefined)[] = []
  readonly blobs: Uint8Array[] = []
  readonly modules: WireModule[] = []
  readonly functions: FunctionEncoder
  readonly realm: CaptureRealm | undefined
  readonly #known: ReadonlyMap<object, string>
  readonly #ids = new Map<object, number>()
  readonly #namespaces = new Map<object, NamespaceRecord>()
  readonly #moduleIds = new Map<string, number>()
  readonly #queue: (() => void)[] = []
  /** Objects that others refer to: those that are only roots are of one capture alone. */
  readonly #referred = new Set<object>()
  #draining = false

  constructor(known: ReadonlyMap<object, string>, realm?: CaptureRealm) {
    this.#known = known
    this.realm = realm
    this.functions = new FunctionEncoder(this)
  }

  /** The slot of a root and everything below it. A queue, not recursion: a list of a million links must not end the stack. */
  encode(value: unknown, path: Path): Slot {
    const slot = this.slot(value, path)
    this.#drain()
    return slot
  }

  finish(): WireNode[] {
    this.#drain()
    this.functions.finish()
    for (const { id, members } of this.#namespaces.values()) {
      // Sorted: in which order functions use the members must not matter.
      this.nodes[id] = { kind: 'namespace', members: [...members].sort(([a], [b]) => (a < b ? -1 : 1)) }
    }
    return this.nodes.filter((node) => node !== undefined)
  }

  #drain(): void {
    this.#draining = true
    for (let at = 0; at < this.#queue.length; at++) this.#queue[at]?.()
    this.#queue.length = 0
    this.#draining = false
  }

  /** The nodes that a realm keeps, with their names in it: objects and classes, which have state or are compared by identity. */
  sharedNodes(): (readonly [number, string])[] {
    const { realm } = this
    if (realm === undefined) return []
    const constructors = new Set<number>()
    for (const node of this.nodes) {
      if (node?.kind === 'prototype' && Array.isArray(node.of) && node.of[0] === '#')
        constructors.add(node.of[1] as number)
    }
    const shared: (readonly [number, string])[] = []
    for (const [value, id] of this.#ids) {
      const node = this.nodes[id]
      if (node === undefined || node.kind === 'bound' || !this.#referred.has(value)) continue
      // A plain function is made anew, with what it captured this time.
      const isPlain = node.kind === 'function' && node.props === undefined && !this.functions.classes.has(id)
      if (!isPlain || constructors.has(id)) shared.push([id, realm.nameOf(value)])
    }
    return shared
  }

  slot(value: unknown, path: Path): Slot {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : ['n', Object.is(value, -0) ? '-0' : String(value)]
      case 'undefined':
        return ['u']
      case 'bigint':
        return ['b', String(value)]
      case 'symbol':
        return symbolSlot(value, path)
      case 'object':
        return value === null ? null : this.#objectSlot(value, path)
      case 'function':
        return this.#objectSlot(value, path)
    }
  }

  /** An element of an array. Most are scalars, which cannot be refused: they need no path. */
  item(value: unknown, array: Path, index: number): Slot {
    const isScalar =
      value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol')
    return this.slot(value, isScalar ? array : property(array, String(index)))
  }

  #objectSlot(value: object, path: Path): Slot {
    const known = this.#known.get(value)
    if (known !== undefined) return ['k', known]
    if (this.#draining) this.#referred.add(value)
    const id = this.#ids.get(value) ?? this.#namespaces.get(value)?.id
    if (id !== undefined) {
      const namespace = this.#namespaces.get(value)
      if (namespace !== undefined) this.#fillNamespace(value, namespace, Object.keys(value), path)
      return ['#', id]
    }
    const builtin = builtinReference(value)
    if (builtin !== undefined) return this.builtin(builtin)
    if (types.isProxy(value)) throw refuse('CAPTURE_UNSUPPORTED', path, 'a Proxy')
    if (typeof value === 'function') {
      const reference = this.functions.reference(value)
      if (reference !== undefined) return reference
      const made = this.#reserve(value)
      this.#queue.push(() => this.functions.encode(value, made, path))
      return ['#', made]
    }
    if (types.isModuleNamespaceObject(value)) return this.namespace(value, undefined, path)
    const reference = this.functions.packageReference(value)
    if (reference !== undefined) return reference
    const made = this.#reserve(value)
    this.#queue.push(() => (this.nodes[made] = encodeObject(this, value, path)))
    return ['#', made]
  }

  builtin(reference: BuiltinReference): Slot {
    if (reference.kind === 'global') return ['g', ...reference.path]
    return ['m', this.module({ how: 'import', specifier: reference.specifier }), 'default', ...reference.path]
  }

  #reserve(value: object): number {
    const id = this.nodes.push(undefined) - 1
    this.#ids.set(value, id)
    return id
  }

  blob(bytes: Uint8Array): number {
    return this.blobs.push(bytes) - 1
  }

  module(module: WireModule): number {
    const key = `${module.how} ${module.specifier}`
    let id = this.#moduleIds.get(key)
    if (id === undefined) {
      id = this.modules.push(module) - 1
      this.#moduleIds.set(key, id)
    }
    return id
  }

  /**
   * A module's namespace, or the members of it that are used: what nobody uses is not shipped.
   * @param slots the members' slots where they are known already (a package's exports); else their values are encoded.
   */
  namespace(value: object, members: Iterable<string> | undefined, path: Path, slots?: (member: string) => Slot): Slot {
    const whole = this.#ids.get(value)
    if (whole !== undefined) return ['#', whole]
    let record = this.#namespaces.get(value)
    if (record === undefined) {
      record = { id: this.nodes.push(undefined) - 1, members: new Map() }
      this.#namespaces.set(value, record)
    }
    this.#fillNamespace(value, record, members ?? Object.keys(value), path, slots)
    return ['#', record.id]
  }

  #fillNamespace(
    value: object,
    record: NamespaceRecord,
    members: Iterable<string>,
    path: Path,
    slots?: (member: string) => Slot,
  ): void {
    for (const member of members) {
      if (record.members.has(member)) continue
      // Modules of compilers have getters for their exports; reading them is what an import does.
      record.members.set(member, slots?.(member) ?? this.slot(Reflect.get(value, member), property(path, member)))
    }
  }

  /** Own properties, but those that `skip` names. Getters are captured, not called. */
  properties(
    value: object,
    path: Path,
    skip: (key: string | symbol, descriptor: PropertyDescriptor) => boolean,
  ): Property[] {
    const properties: Property[] = []
    for (const key of Reflect.ownKeys(value)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(value, key)
      if (descriptor === undefined || skip(key, descriptor)) continue
      const inner = property(path, key)
      const name = this.slot(key, inner)
      const flags = (descriptor.writable ? 1 : 0) | (descriptor.enumerable ? 2 : 0) | (descriptor.configurable ? 4 : 0)
      properties.push(
        'value' in descriptor
          ? [name, this.slot(descriptor.value, inner), flags]
          : [name, this.slot(descriptor.get, inner), this.slot(descriptor.set, inner), flags],
      )
    }
    return properties
  }
}

function symbolSlot(value: symbol, path: Path): Slot {
  const wellKnown = wellKnownSymbols.get(value)
  if (wellKnown !== undefined) return ['s', wellKnown]
  const registered = Symbol.keyFor(value)
  if (registered !== undefined) return ['r', registered]
  throw refuse('CAPTURE_UNSUPPORTED', path, `the unique ${String(value)}`, {
    hint: path.hint ?? 'Use Symbol.for(name): both processes get the same symbol then.',
  })
}
