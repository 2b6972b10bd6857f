// Views of structs: one class per layout, with an accessor per attribute that reads the map when it is touched. A view
// is two words (segment and position), so a cursor can re-point one view over a whole file.
import { inspect } from 'node:util'
import { BufferError } from '../../errors.ts'
import { InPlaceCodec, type Codec } from '../codec.ts'
import { decodeAt } from '../decoder.ts'
import { jsonOf } from '../json.ts'
import type { Segment } from '../segment.ts'
import { bitIsSet, type Place, type Visible } from './struct-layout.ts'
import { textAt } from './text.ts'

export type ViewClass = new (segment: Segment, at: number) => StructView

type Getter = (this: StructView) => unknown
type Setter = (this: StructView, value: unknown) => void

/** What a view class is made for; its instances find the way back by their prototype. */
interface Viewed extends Codec {
  readonly visible: readonly Visible[]
}

const viewed = new WeakMap<object, Viewed>()

/** The base of all views. It has no public names but two, since the names belong to the attributes. */
export class StructView {
  #segment: Segment
  #at: number

  constructor(segment: Segment, at: number) {
    this.#segment = segment
    this.#at = at
  }

  /** A plain copy, which outlives the map. */
  get(): unknown {
    return StructView.plain(this)
  }

  /** A copy as JSON can hold it: sets and bytes as arrays and base64, 64-bit integers as strings. */
  toJSON(): unknown {
    return jsonOf(StructView.plain(this))
  }

  [inspect.custom](): unknown {
    return StructView.plain(this)
  }

  /** Points a view at another struct of the same layout; the caller has checked that it lies in the segment. */
  static move(view: StructView, segment: Segment, at: number): void {
    view.#segment = segment
    view.#at = at
  }

  static segmentOf(view: StructView): Segment {
    return view.#segment
  }

  static positionOf(view: StructView): number {
    return view.#at
  }

  static isView(value: unknown): value is StructView {
    return typeof value === 'object' && value !== null && #segment in value
  }

  /** A plain copy, with everything it refers to. */
  static plain(view: StructView): unknown {
    const codec = viewed.get(Object.getPrototypeOf(view) as object)
    if (!codec) throw new BufferError('BUFFER_VALUE', 'expected a view on a struct')
    return decodeAt(codec, view.#segment, view.#at, true)
  }

  // One getter per kind of slot instead of a call through the codec: these are what scans spend their time in.
  static readonly direct: Readonly<Record<string, (this: void, at: number) => Getter>> = {
    f64: (at) =>
      function () {
        return this.#segment.view.getFloat64(this.#at + at, true)
      },
    f32: (at) =>
      function () {
        return this.#segment.view.getFloat32(this.#at + at, true)
      },
    i32: (at) =>
      function () {
        return this.#segment.view.getInt32(this.#at + at, true)
      },
    u32: (at) =>
      function () {
        return this.#segment.view.getUint32(this.#at + at, true)
      },
    u16: (at) =>
      function () {
        return this.#segment.view.getUint16(this.#at + at, true)
      },
    u8: (at) =>
      function () {
        return this.#segment.view.getUint8(this.#at + at)
      },
    str: (at) =>
      function () {
        const segment = this.#segment
        return textAt(segment, segment.pointer(this.#at + at))
      },
  }

  static other({ codec, at }: Place): Getter {
    return function () {
      return codec.view(this.#segment, this.#at + at)
    }
  }

  /** Any of the above, for an attribute that may be absent or null. */
  static guarded({ absentBit, nullBit }: Place, read: Getter): Getter {
    return function () {
      if (bitIsSet(this.#segment, this.#at, absentBit)) return undefined
      return bitIsSet(this.#segment, this.#at, nullBit) ? null : read.call(this)
    }
  }

  static setter({ name, codec, at, absentBit, nullBit }: Place): Setter {
    return function (value) {
      const segment = this.#segment
      checkWritable(segment, name, codec)
      if (bitIsSet(segment, this.#at, absentBit) || bitIsSet(segment, this.#at, nullBit)) {
        throw new BufferError('BUFFER_READ_ONLY', `${name} is absent or null here, and has no room for a value`)
      }
      codec.write({ base: 0, view: segment.view }, this.#at + at, value)
    }
  }
}

function checkWritable(segment: Segment, name: string, codec: Codec): asserts codec is InPlaceCodec {
  if (segment.closed) segment.fault('written to')
  if (!segment.writable) {
    throw new BufferError('BUFFER_READ_ONLY', `${name}: ${segment.name} was not opened with { writable: true }`)
  }
  if (!(codec instanceof InPlaceCodec)) {
    throw new BufferError('BUFFER_READ_ONLY', `${name} has no fixed size and cannot change in place`)
  }
}

/** The class of the views of one struct, as one reader sees it. */
export function viewClassOf(codec: Viewed): ViewClass {
  const View: ViewClass = class extends StructView {}
  for (const { name, place } of codec.visible) {
    const access = place ? { get: getterOf(place), set: StructView.setter(place) } : absentFrom(name)
    Object.defineProperty(View.prototype, name, { ...access, enumerable: true, configurable: true })
  }
  viewed.set(View.prototype, codec)
  return View
}

/** The accessors of an attribute that the reader knows and the file does not have. */
function absentFrom(name: string): PropertyDescriptor {
  return {
    get: () => undefined,
    set: () => {
      throw new BufferError('BUFFER_READ_ONLY', `${name} is not in the file, which has no room for it`)
    },
  }
}

function getterOf(place: Place): Getter {
  const read = StructView.direct[place.codec.node.kind]?.(place.at) ?? StructView.other(place)
  return place.absentBit < 0 && place.nullBit < 0 ? read : StructView.guarded(place, read)
}
