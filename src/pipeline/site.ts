// Where in the user's program a step was added: its stack goes on behind that of whatever the step's function throws.

export interface Site {
  /** `file:line:column`, or empty where it is not known. */
  readonly place: string
  /** The lines `    at ...`, outermost last. */
  readonly stack: string
}

const here = new URL('.', import.meta.url).href

/** The call that is outside of this folder and led here. */
export function callSite(): Site {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 30
  const holder: { stack?: string } = {}
  Error.captureStackTrace(holder, callSite)
  Error.stackTraceLimit = limit
  const lines = (holder.stack ?? '').split('\n').slice(1)
  const ours = lines.findLastIndex((line) => line.includes(here) || line.includes(here.replace('file://', '')))
  const stack = lines.slice(ours + 1).filter((line) => !line.includes('node:internal'))
  return { place: /\(?((?:file:\/\/)?[^()\s]+:\d+:\d+)\)?$/.exec(stack[0] ?? '')?.[1] ?? '', stack: stack.join('\n') }
}
