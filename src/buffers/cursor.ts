// One view, pointed at object after object: no allocation per object, which is what makes scans fast.
import { BufferError } from '../errors.ts'
import { absolutePlace } from './arguments.ts'
import type { Codec } from './codec.ts'
import { codecFor } from './compile.ts'
import { describe, nodeIn, type Node, type Schema } from './schema.ts'
import type { BufferFile } from './file.ts'
import type { SegmentEntry } from './directory.ts'
import type { Segment } from './segment.ts'
import type { View } from './view-type.ts'
import { StructCodec } from './values/struct.ts'
import { StructView } from './values/struct-view.ts'

/** A run of objects whose positions lie in one segment, which is mapped when it is first used. */
export class Run {
  readonly #file: BufferFile
  readonly #number: number
  #segment: Segment | undefined
  /** Where in the segment the positions begin. */
  readonly index: number
  /** Place of the first object. */
  readonly first: number
  readonly count: number

  constructor(file: BufferFile, number: number, first: number, { index, count }: SegmentEntry) {
    this.#file = file
    this.#number = number
    this.index = index
    this.first = first
    this.count = count
  }

  get segment(): Segment {
    return (this.#segment ??= this.#file.segment(this.#number))
  }
}

/** What a cursor moves over. */
export interface Objects {
  readonly path: string
  readonly node: Node
  readonly codec: Codec
  readonly runs: readonly Run[]
  readonly length: number
}

/** The run that holds a place, which is one. */
export function runAt({ runs }: Objects, place: number): Run {
  let low = 0
  let high = runs.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((runs[middle] as Run).first <= place) low = middle
    else high = middle - 1
  }
  return runs[low] as Run
}

/** Where the object at a place of a run begins. */
export function positionIn(run: Run, place: number): number {
  return run.segment.view.getUint32(run.index + (place - run.first) * 4, true)
}

export class Cursor<T, V = View<T>> {
  readonly #objects: Objects
  readonly #struct: StructCodec | undefined
  readonly #bytes: number
  /** Made with the first segment that is mapped; undefined for objects that are no structs. */
  #view: StructView | undefined
  readonly #others = new Map<Schema<unknown>, StructCodec>()
  #segment: Segment | undefined
  #index = 0
  #first = 0
  #count = 0
  #at = -1

  constructor(objects: Objects) {
    this.#objects = objects
    this.#struct = objects.codec instanceof StructCodec ? objects.codec : undefined
    this.#bytes = this.#struct?.layout.bytes ?? 0
  }

  /**
   * The object at a place, by the one view of this cursor: what it returned before shows the new object too.
   * Negative places count from the end. Errors: `BUFFER_RANGE`, `BUFFER_CLOSED`, `BUFFER_CORRUPT`.
   */
  moveTo(place: number): V {
    let offset = typeof place === 'number' ? place - this.#first : NaN
    // One comparison for all that is not a place in this run: negative, fractional, NaN, beyond.
    if (offset >>> 0 !== offset || offset >= this.#count) offset = this.#seek(place)
    const segment = this.#segment as Segment
    const at = segment.view.getUint32(this.#index + offset * 4, true)
    this.#at = at
    const view = this.#view
    if (view === undefined) return this.#objects.codec.viewAt(segment, at) as V
    if (at + this.#bytes > segment.limit) segment.fault(`an object at ${at}`)
    StructView.move(view, segment, at)
    return view as V
  }

  /**
   * The same object through another schema: the attributes that both know. The result is a view of its own.
   * Errors: `BUFFER_SCHEMA` if the types do not fit, `BUFFER_RANGE` before the first `moveTo`.
   */
  as<U>(schema: Schema<U>): View<U> {
    const { node, path } = this.#objects
    if (this.#segment === undefined || this.#at < 0) throw new BufferError('BUFFER_RANGE', 'move the cursor first')
    let codec = this.#others.get(schema)
    if (!codec) {
      const made = codecFor(node, nodeIn(schema))
      if (!(made instanceof StructCodec)) {
        throw new BufferError('BUFFER_SCHEMA', `${path} holds ${describe(node)}; as() needs structs`)
      }
      this.#others.set(schema, (codec = made))
    }
    return codec.viewAt(this.#segment, this.#at) as View<U>
  }

  #seek(place: number): number {
    const wanted = absolutePlace(place, this.#objects.length, this.#objects.path)
    const run = runAt(this.#objects, wanted)
    this.#segment = run.segment
    this.#view ??= this.#struct?.makeView(run.segment, 0)
    this.#index = run.index
    this.#first = run.first
    this.#count = run.count
    return wanted - run.first
  }
}

/** All objects in order, by one view that is re-pointed at each step. */
export class Scan<V> implements IterableIterator<V> {
  readonly #objects: Objects
  readonly #struct: StructCodec | undefined
  readonly #bytes: number
  /** Made with the first segment that is mapped; undefined for objects that are no structs. */
  #view: StructView | undefined
  #next = 0
  #segment: Segment | undefined
  #index = 0
  #left = 0

  constructor(objects: Objects) {
    this.#objects = objects
    this.#struct = objects.codec instanceof StructCodec ? objects.codec : undefined
    this.#bytes = this.#struct?.layout.bytes ?? 0
  }

  [Symbol.iterator](): this {
    return this
  }

  next(): IteratorResult<V, undefined> {
    if (this.#left === 0 && !this.#nextRun()) return { value: undefined, done: true }
    this.#left--
    const segment = this.#segment as Segment
    const at = segment.view.getUint32(this.#index, true)
    this.#index += 4
    const view = this.#view
    if (view === undefined) return { value: this.#objects.codec.viewAt(segment, at) as V, done: false }
    if (at + this.#bytes > segment.limit) segment.fault(`an object at ${at}`)
    StructView.move(view, segment, at)
    return { value: view as V, done: false }
  }

  #nextRun(): boolean {
    for (let run = this.#objects.runs[this.#next++]; run; run = this.#objects.runs[this.#next++]) {
      if (run.count === 0) continue
      this.#segment = run.segment
      this.#view ??= this.#struct?.makeView(run.segment, 0)
      this.#index = run.index
      this.#left = run.count
      return true
    }
    return false
  }
}
