// From the schema in a file, and the schema of the reader where it has one, to the codecs that decode it. The file's
// schema says how things are stored; the reader's says which attributes it knows and under which types.
import { BufferError } from '../errors.ts'
import type { Codec } from './codec.ts'
import { describe, type Attribute, type Node, type PlainNode, type StructNode } from './schema.ts'
import { AnyCodec } from './values/any.ts'
import { BytesCodec } from './values/bytes.ts'
import { DecimalCodec } from './values/decimal.ts'
import { DictCodec } from './values/dict.ts'
import { ListCodec, TupleCodec } from './values/list.ts'
import { NdarrayCodec } from './values/ndarray.ts'
import { NullableCodec } from './values/nullable.ts'
import { BigCodec, BoolCodec, NumberCodec, numberForms } from './values/numbers.ts'
import { RefCodec } from './values/ref.ts'
import { SetCodec } from './values/set.ts'
import { StructCodec } from './values/struct.ts'
import { TextCodec } from './values/text.ts'
import { DateCodec, DatetimeCodec } from './values/time.ts'

/** The reader of all that a file has. */
const everything: Node = { kind: 'any' }

const compiled = new WeakMap<Node, WeakMap<Node, Codec>>()

/** The codec of a schema, made once. */
export function codecOf(node: Node): Codec {
  return codecFor(node, undefined)
}

/**
 * The codec with which a reader of schema `reader` decodes what was stored by schema `file`, made once: files that are
 * opened again share the classes of their views. Attributes that only one of them has are left out; types may differ
 * where every stored value is one of the reader's type too. Errors: `BUFFER_SCHEMA`.
 */
export function codecFor(file: Node, reader: Node | undefined): Codec {
  const readers = compiled.get(file) ?? new WeakMap<Node, Codec>()
  compiled.set(file, readers)
  const known = readers.get(reader ?? everything)
  if (known) return known
  const compiler = new Compiler()
  const codec = compiler.compile(file, reader)
  compiler.settle()
  readers.set(reader ?? everything, codec)
  return codec
}

class Compiler {
  /** One codec for each pair of schemas: shared values and cycles are known by their codec. */
  readonly #made = new Map<Node, Map<Node | undefined, Codec>>()
  readonly #pending: (() => void)[] = []

  compile(file: Node, reader: Node | undefined, path = ''): Codec {
    const known = this.#made.get(file)?.get(reader)
    if (known) return known
    const codec = this.#make(file, reader, path)
    const pairs = this.#made.get(file) ?? new Map<Node | undefined, Codec>()
    this.#made.set(file, pairs.set(reader, codec))
    return codec
  }

  #make(file: Node, given: Node | undefined, path: string): Codec {
    // Null or not is in the file; a reader that does not expect null sees one where there is one.
    if (file.kind === 'nullable') {
      return new NullableCodec(this.compile(file.inner, given?.kind === 'nullable' ? given.inner : given, path))
    }
    const reader = given?.kind === 'nullable' ? given.inner : given
    const clash = (): never => refuse(file, reader, path)
    switch (file.kind) {
      case 'list':
        if (reader && reader.kind !== 'list') return clash()
        return new ListCodec(this.compile(file.item, reader?.item, `${path}[]`))
      case 'set':
        if (reader && reader.kind !== 'set') return clash()
        return new SetCodec(this.compile(file.item, reader?.item, `${path}[]`))
      case 'tuple':
        if (reader && (reader.kind !== 'tuple' || reader.items.length !== file.items.length)) return clash()
        return new TupleCodec(
          file.items.map((item, index) => this.compile(item, reader?.items[index], `${path}[${index}]`)),
        )
      case 'dict':
        if (reader && reader.kind !== 'dict') return clash()
        return new DictCodec(
          this.compile(file.key, reader?.key, `${path}[key]`),
          this.compile(file.value, reader?.value, `${path}[]`),
        )
      case 'struct':
        if (reader && reader.kind !== 'struct') return clash()
        return this.#struct(file, reader, path)
      case 'ref': {
        if (reader && reader.kind !== 'ref') return clash()
        const target = () => this.compile(file.target(), reader?.target(), path) as StructCodec
        this.#pending.push(target)
        return new RefCodec(file, target)
      }
      case 'bytes':
        return reader && reader.kind !== 'bytes' ? clash() : new BytesCodec(file)
      case 'ndarray':
        if (reader && (reader.kind !== 'ndarray' || (reader.dtype ?? file.dtype) !== file.dtype)) return clash()
        return new NdarrayCodec(file)
      default:
        return reader && !holds(file, reader) ? clash() : plainCodec(file)
    }
  }

  #struct(file: StructNode, reader: StructNode | undefined, path: string): StructCodec {
    const known = new Map(reader?.attributes.map((attribute) => [attribute.name, attribute.node]))
    const compile = (attribute: Attribute): Codec => {
      // The bit of a struct says null, the slot need not.
      const stored = attribute.node.kind === 'nullable' ? attribute.node.inner : attribute.node
      const wanted = known.get(attribute.name)
      const inner = wanted?.kind === 'nullable' ? wanted.inner : wanted
      return this.compile(stored, inner, path === '' ? attribute.name : `${path}.${attribute.name}`)
    }
    return new StructCodec(file, compile, reader && [...known.keys()])
  }

  /** Compiles the targets of references, once what refers to them is there: a clash shows at once, not on a touch. */
  settle(): void {
    for (let next = this.#pending.pop(); next; next = this.#pending.pop()) next()
  }
}

function plainCodec(node: PlainNode): Codec {
  switch (node.kind) {
    case 'bool':
      return new BoolCodec()
    case 'str':
      return new TextCodec()
    case 'any':
      return new AnyCodec()
    case 'decimal':
      return new DecimalCodec()
    case 'date':
      return new DateCodec()
    case 'datetime':
      return new DatetimeCodec()
    case 'i64':
    case 'u64':
      return new BigCodec(node.kind)
    default:
      return new NumberCodec(node.kind)
  }
}

/** Whether every value of the stored type is one of the reader's. */
function holds(file: PlainNode, reader: Node): boolean {
  if (file.kind === reader.kind) return true
  if (file.kind in numberForms && reader.kind in numberForms) return holdsNumbers(file.kind, reader.kind)
  return reader.kind === 'any'
}

function holdsNumbers(file: string, reader: string): boolean {
  const forms: Readonly<Record<string, { readonly least: number; readonly most: number; readonly size: number }>> =
    numberForms
  const stored = forms[file]
  const wanted = forms[reader]
  if (!stored || !wanted) return false
  // Floats hold the integers of their mantissa: 24 bits of f32, 53 of f64.
  if (reader === 'f64') return true
  if (reader === 'f32') return file !== 'f64' && stored.size < 4
  return file !== 'f32' && file !== 'f64' && stored.least >= wanted.least && stored.most <= wanted.most
}

function refuse(file: Node, reader: Node | undefined, path: string): never {
  const place = path === '' ? 'the schema' : path
  const wanted = reader ? describe(reader) : 'nothing'
  throw new BufferError('BUFFER_SCHEMA', `${place}: the file holds ${describe(file)}, the reader expects ${wanted}`)
}

/** Whether one value can hold the same thing at two places, so that a plain copy has to keep track. */
export function canShare(node: Node): boolean {
  const known = new Map<Node, number>()
  const count = (inner: Node): number => {
    const before = known.get(inner)
    if (before !== undefined) return before
    const composites = countComposites(inner, count)
    known.set(inner, composites)
    return composites
  }
  return count(node) > 2
}

function countComposites(node: Node, count: (node: Node) => number): number {
  const many = (held: number) => 1 + (held > 0 ? Infinity : 0)
  switch (node.kind) {
    case 'ref':
    case 'any':
      return Infinity
    case 'bytes':
    case 'ndarray':
      return 1
    case 'nullable':
      return count(node.inner)
    case 'list':
    case 'set':
      return many(count(node.item))
    case 'dict':
      return many(count(node.key) + count(node.value))
    case 'tuple':
      return node.items.reduce((sum, item) => sum + count(item), 1)
    case 'struct':
      return node.attributes.reduce((sum, attribute) => sum + count(attribute.node), 1)
    default:
      return 0
  }
}
