// A module of the user's own: what functions import from it travels by value.
import { join } from 'node:path'

export const factor = 3
export const settings = { unit: 'ms', limits: [1, 2] } as const
export const triple = (n: number): number => n * factor
export default function quadruple(n: number): number {
  return triple(n) + n
}

export class Base {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
  greet(): string {
    return `hello ${this.name}`
  }
}

export const path = (...parts: string[]): string => join('root', ...parts)

// Nobody ships it, so that it may be what cannot travel.
export const unused = Promise.resolve(1)
