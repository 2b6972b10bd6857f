// Where in the user's program a step was added: it is named in refusals, and its stack goes on behind that of whatever the
// step's function throws.
import { relative } from 'node:path'
import { callSite as outside, type CallSite } from '../code/call-site.ts'

export interface Site {
  /** `file:line:column`, or empty where it is not known. */
  readonly place: string
  /** The lines `    at ...`, outermost last. */
  readonly stack: string
}

// Most sites are never asked, and an answer may take reading a source map.
class LazySite implements Site {
  readonly #site: CallSite

  constructor(site: CallSite) {
    this.#site = site
  }

  get place(): string {
    const { file, line, column } = this.#site
    return file === '' ? '' : `${file}:${line}:${column}`
  }

  get stack(): string {
    return this.#site.stack
  }
}

/** The call that is outside of Gearmill and led here. */
export function callSite(): Site {
  return new LazySite(outside())
}

/** `map(...) at app.ts:12`, the file relative to the working directory where it is below it. */
export function labelOf(call: string, { place }: Site): string {
  if (place === '') return `${call}(...)`
  const near = relative(process.cwd(), place)
  return `${call}(...) at ${(near.startsWith('..') ? place : near).replace(/:\d+$/, '')}`
}
