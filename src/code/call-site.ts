// Where the user's code called Gearmill: the label of a shipped function, and the end of its errors' stacks.
import { findSourceMap } from 'node:module'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ownModule } from './own-code.ts'

/** The first frame outside of Gearmill, and those that led to it. Lines and columns count from 1. */
export interface CallSite {
  /** An absolute path; empty where the stack holds nothing but Gearmill. */
  readonly file: string
  readonly line: number
  readonly column: number
  /** `app.ts:12`, relative to the working directory if it is below it. */
  readonly label: string
  /** The caller's stack, as in `error.stack`, without Gearmill's frames at its beginning. */
  readonly stack: string
}

interface Frame {
  readonly text: string
  readonly file: string
  readonly line: number
  readonly column: number
}

// Deep enough for a caller below a few layers of Gearmill, cheap enough for each operation of a pipeline.
const depth = 24

const pathOf = (file: string): string => (file.startsWith('file:') ? fileURLToPath(file.replace(/[?#].*$/, '')) : file)

const isOwn = (file: string): boolean => file.startsWith('node:') || ownModule(file) !== undefined

class LazyCallSite implements CallSite {
  readonly #frames: readonly Frame[]
  readonly #prepared: string | undefined
  #mapped: readonly Frame[] | undefined

  /** @param prepared the frames as formatted by the program's own `Error.prepareStackTrace`. */
  constructor(frames: readonly Frame[], prepared: string | undefined) {
    this.#frames = frames
    this.#prepared = prepared
  }

  // Reading source maps is slow, and most call sites are never looked at.
  get #lines(): readonly Frame[] {
    this.#mapped ??= this.#prepared === undefined ? this.#frames.map(mapped) : parsed(this.#prepared)
    return this.#mapped
  }

  get file(): string {
    return this.#lines[0]?.file ?? ''
  }

  get line(): number {
    return this.#lines[0]?.line ?? 0
  }

  get column(): number {
    return this.#lines[0]?.column ?? 0
  }

  get label(): string {
    const near = relative(process.cwd(), this.file)
    return `${near.startsWith('..') ? this.file : near}:${this.line}`
  }

  get stack(): string {
    return this.#lines.map(({ text }) => `    at ${text}`).join('\n')
  }
}

function mapped(frame: Frame): Frame {
  const map = process.sourceMapsEnabled ? findSourceMap(frame.file) : undefined
  const entry = map?.findEntry(frame.line - 1, frame.column - 1)
  if (entry === undefined || !('originalLine' in entry) || typeof entry.originalLine !== 'number') return frame
  const file = pathOf(entry.originalSource)
  const line = entry.originalLine + 1
  const column = entry.originalColumn + 1
  return {
    file,
    line,
    column,
    text: frame.text.replace(/(?:file:)?[^\s(]*:\d+:\d+(?=\)?$)/, `${file}:${line}:${column}`),
  }
}

function parsed(stack: string): readonly Frame[] {
  const frames: Frame[] = []
  for (const [, text = ''] of stack.matchAll(/^\s+at (.*)$/gm)) {
    const place = /([^\s(]*):(\d+):(\d+)\)?$/.exec(text)
    frames.push({
      text,
      file: pathOf(place?.[1] ?? ''),
      line: Number(place?.[2] ?? 0),
      column: Number(place?.[3] ?? 0),
    })
  }
  return frames
}

/** The call of Gearmill's public function that is being run. A few microseconds; the rest is done when it is looked at. */
export function callSite(): CallSite {
  const { stackTraceLimit } = Error
  const prepareStackTrace: unknown = Reflect.get(Error, 'prepareStackTrace')
  const holder: { stack?: unknown } = {}
  Error.stackTraceLimit = depth
  Error.prepareStackTrace = (_, sites) => sites
  let sites: readonly NodeJS.CallSite[]
  try {
    Error.captureStackTrace(holder, callSite)
    sites = holder.stack as readonly NodeJS.CallSite[]
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    // Assigning undefined would differ from never having set it in how Node formats stacks, so it is put back exactly.
    if (prepareStackTrace === undefined) Reflect.deleteProperty(Error, 'prepareStackTrace')
    else Reflect.set(Error, 'prepareStackTrace', prepareStackTrace)
  }
  const start = sites.findIndex((site) => !isOwn(pathOf(site.getFileName() ?? 'node:')))
  const outside = start < 0 ? [] : sites.slice(start)
  const prepared: unknown =
    typeof prepareStackTrace === 'function'
      ? Reflect.apply(prepareStackTrace, Error, [new Error(), [...outside]])
      : undefined
  const frames = outside.map((site) => ({
    // oxlint-disable-next-line typescript/no-base-to-string -- V8's call sites have a toString() that writes a stack's line
    text: String(site),
    file: pathOf(site.getFileName() ?? ''),
    line: site.getLineNumber() ?? 0,
    column: site.getColumnNumber() ?? 0,
  }))
  return new LazyCallSite(frames, typeof prepared === 'string' ? prepared : undefined)
}
