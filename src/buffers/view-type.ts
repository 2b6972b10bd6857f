// The types of views: what reading through the map gives for values of type T.
import type { NdArray } from './values/ndarray.ts'

type Leaf = string | number | bigint | boolean | null | undefined | symbol | Date | ArrayBufferView | NdArray

/** What views of structs have beside their attributes, unless an attribute has the same name. */
interface ViewMethods<T> {
  /** A plain copy, which outlives the map. */
  get(): T
  /** A copy as JSON can hold it. */
  toJSON(): unknown
}

/**
 * A value seen through the map: numbers, strings and dates as they are, lists, sets and dicts as lazy read-only forms
 * of Array, Set and Map, objects with accessors that read when they are touched. Members of sets and keys of maps have
 * their plain types, for they are what has() and get() take.
 */
export type View<T> = unknown extends T
  ? T
  : T extends Leaf
    ? T
    : T extends Set<infer E>
      ? ReadonlySet<E>
      : T extends Map<infer K, infer V>
        ? ReadonlyMap<K, View<V>>
        : T extends readonly unknown[]
          ? { readonly [I in keyof T]: View<T[I]> }
          : T extends object
            ? { readonly [K in keyof T]: View<T[K]> } & Omit<ViewMethods<T>, keyof T>
            : T

/** A view of a buffer that was opened for writing: numbers, booleans and dates can be assigned. */
export type WritableView<T> = T extends Leaf | readonly unknown[] | Set<unknown> | Map<unknown, unknown>
  ? View<T>
  : T extends object
    ? { -readonly [K in keyof T]: WritableView<T[K]> } & Omit<ViewMethods<T>, keyof T>
    : T
