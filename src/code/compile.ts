// Compiles shipped sources: once per process, under the file, line and column where they were written, so that stacks point there.
import { Script } from 'node:vm'
import { CaptureError } from '../errors.ts'
import type { WireDocument, WireLiteral } from './wire.ts'

/** A function that is made, and then given the values of the names it uses: those may need the function itself. */
export interface Instance {
  make(): object
  bind(values: readonly unknown[]): void
}

export type Factory = () => Instance

/** V8's code cache, kept between processes; `name` tells the source and the version of V8. */
export interface CodeCache {
  read(name: string): Uint8Array | undefined
  write(name: string, data: Uint8Array): void
}

// Below this V8 compiles faster than a cache can be read.
const cacheFrom = 16 * 1024

const prepared = (count: number): string => Array.from({ length: count }, (_, at) => `$gm${at}`).join()

function textOf({ form, strict, names, source, column }: WireLiteral): string {
  const values = prepared(names.length)
  const declare = names.length > 0 ? `let ${names.join()};` : ''
  const assign = names.map((name, at) => `${name}=$gm${at}`).join(';')
  const head = `(() => {${strict ? "'use strict';" : ''}${declare}return { bind([${values}]) {${assign}}, make() { return `
  const padding = ' '.repeat(Math.max(0, column - 2))
  if (form === 'expression') return `${head}(\n${padding}  ${source}\n)}}})`
  const method = `Object.values(Object.getOwnPropertyDescriptors({\n${padding}  ${source}\n}))`
  return `${head}((d) => d.value ?? d.get ?? d.set)(${method}[0])}}})`
}

export function compileLiterals(document: WireDocument, cache: CodeCache | undefined, hash: string): Factory[] {
  return document.literals.map((literal, at) => {
    const filename = document.files[literal.file] ?? 'shipped'
    const text = textOf(literal)
    const name = `${hash}-${at}-${process.versions.v8}`
    const isLarge = cache !== undefined && text.length >= cacheFrom
    const cachedData = isLarge ? cache.read(name) : undefined
    try {
      const script = new Script(text, {
        filename,
        lineOffset: literal.line - 1,
        ...(cachedData !== undefined && { cachedData: Buffer.from(cachedData) }),
      })
      const factory = script.runInThisContext() as Factory
      if (isLarge && (cachedData === undefined || script.cachedDataRejected))
        cache.write(name, script.createCachedData())
      return factory
    } catch (cause) {
      throw new CaptureError('CAPTURE_LOAD', `a function of ${filename}:${literal.line + 1} does not compile here`, {
        cause,
      })
    }
  })
}
