// Why something cannot travel, said with the path of names that led to it.
import { CaptureError, type ErrorOptions } from '../errors.ts'

/** How a value was reached. `name` carries its own punctuation: `.socket`, `[0]`; a variable has none. */
export interface Path {
  readonly label: string
  readonly outer: Path | undefined
  readonly name: string
  /** What to do about anything that is refused below. */
  readonly hint?: string
}

export const rootPath = (label: string): Path => ({ label, outer: undefined, name: '' })

export const below = (outer: Path, name: string): Path => ({ ...outer, outer, name })

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u

export function property(outer: Path, key: string | symbol): Path {
  if (typeof key === 'symbol') return below(outer, `[${String(key)}]`)
  return below(outer, identifier.test(key) ? `.${key}` : /^\d+$/.test(key) ? `[${key}]` : `[${JSON.stringify(key)}]`)
}

/** A variable that a function captures. */
export const variable = (outer: Path, name: string): Path => below(outer, outer.name === '' ? name : ` > ${name}`)

function namesOf(path: Path): string {
  const names: string[] = []
  for (let at: Path | undefined = path; at !== undefined; at = at.outer) names.unshift(at.name)
  return names.join('').replace(/^\./, '')
}

type CaptureCode = ConstructorParameters<typeof CaptureError>[0]

export function refuse(code: CaptureCode, path: Path, why: string, options?: ErrorOptions): CaptureError {
  const names = namesOf(path)
  const what = names === '' ? path.label : `'${names}' (captured by ${path.label})`
  return new CaptureError(
    code,
    `cannot ship ${what}: ${why}`,
    path.hint === undefined ? options : { hint: path.hint, ...options },
  )
}

/** `Socket` -> `a live Socket`. */
export const live = (name: string): string => `a live ${name}`
