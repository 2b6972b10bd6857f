// Looks into live functions with V8's own debugger protocol, inside this process and synchronously: where a function was
// written, the variables it sees, and the source text of its script as V8 compiled it.
import { createRequire } from 'node:module'
import type { Runtime, Session } from 'node:inspector'
import { CaptureError } from '../errors.ts'

/** One scope's variables, a snapshot. Read it with `variableIn`. */
export type Variables = Readonly<Record<string, unknown>>

/** What `variableIn` gives for a variable that is not initialised yet. */
export const uninitialised = Symbol('uninitialised')

/** Before Node 24 V8 shows what is not initialised yet as undefined; since then even asking for it throws. */
export function variableIn(scope: Variables, name: string): unknown {
  try {
    return scope[name]
  } catch {
    return uninitialised
  }
}

export interface FunctionDetails {
  /** Undefined for native functions. */
  readonly location: { readonly scriptId: string; readonly line: number; readonly column: number } | undefined
  /** Innermost first, without the global object. */
  readonly scopes: readonly Variables[]
  readonly bound: { readonly target: unknown; readonly self: unknown; readonly args: readonly unknown[] } | undefined
}

export interface ScriptText {
  readonly url: string
  readonly source: string
  readonly startLine: number
  readonly startColumn: number
  readonly isModule: boolean
}

// Values go in and out through this object, so that nothing needs a global name for longer than the set-up takes.
interface Exchange {
  input: unknown
  output: unknown
}

class Inspector {
  readonly #session: Session
  readonly #exchange: Exchange = { input: undefined, output: undefined }
  readonly #exchangeId: string
  readonly #headers = new Map<string, Omit<ScriptText, 'source'>>()
  readonly #texts = new Map<string, ScriptText>()
  #isDebugging = false

  constructor(session: Session) {
    this.#session = session
    session.connect()
    session.on('Debugger.scriptParsed', ({ params }) => {
      this.#headers.set(params.scriptId, {
        url: params.url,
        startLine: params.startLine,
        startColumn: params.startColumn,
        isModule: params.isModule === true,
      })
    })
    const name = Symbol.for('gearmill.exchange')
    Reflect.set(globalThis, name, this.#exchange)
    try {
      const expression = "globalThis[Symbol.for('gearmill.exchange')]"
      this.#exchangeId = idOf(this.#post<{ result: Runtime.RemoteObject }>('Runtime.evaluate', { expression }).result)
    } finally {
      Reflect.deleteProperty(globalThis, name)
    }
  }

  // The protocol answers before post() returns: the session lives on this thread.
  #post<Reply>(method: string, params: object): Reply {
    let answer: unknown
    let failure: Error | null = null
    this.#session.post(method, params, (error: Error | null, reply?: object) => {
      failure = error
      answer = reply
    })
    if (failure !== null)
      throw new CaptureError('CAPTURE_INSPECTOR', `the inspector refused ${method}`, { cause: failure })
    return answer as Reply
  }

  #release(ids: readonly (string | undefined)[]): void {
    for (const objectId of ids) if (objectId !== undefined) this.#post('Runtime.releaseObject', { objectId })
  }

  inspect(target: object): FunctionDetails {
    this.#exchange.input = target
    const { result } = this.#post<{ result: Runtime.RemoteObject }>('Runtime.callFunctionOn', {
      objectId: this.#exchangeId,
      functionDeclaration: 'function () { return this.input }',
    })
    const objectId = idOf(result)
    const properties = this.#post<Runtime.GetPropertiesReturnType>('Runtime.getProperties', {
      objectId,
      ownProperties: true,
    })
    const internal = new Map(properties.internalProperties?.map(({ name, value }) => [name, value]))
    const location = internal.get('[[FunctionLocation]]')?.value as Location | undefined
    const wanted = ['[[Scopes]]', '[[TargetFunction]]', '[[BoundThis]]', '[[BoundArgs]]'].map((name) =>
      internal.get(name),
    )
    this.#post('Runtime.callFunctionOn', {
      objectId: this.#exchangeId,
      functionDeclaration: 'function (...values) { this.output = values }',
      arguments: wanted.map((object) =>
        object?.objectId === undefined ? { value: object?.value as unknown } : { objectId: object.objectId },
      ),
    })
    const [scopes, bound, self, args] = this.#exchange.output as [
      ArrayLike<ScopeEntry>?,
      unknown?,
      unknown?,
      ArrayLike<unknown>?,
    ]
    this.#exchange.input = this.#exchange.output = undefined
    this.#release([objectId, ...[...internal.values()].map((value) => value?.objectId)])
    return {
      location: location && { scriptId: location.scriptId, line: location.lineNumber, column: location.columnNumber },
      scopes: listed(scopes)
        .map(({ object }) => object)
        .filter((object) => object !== globalThis),
      bound: typeof bound === 'function' ? { target: bound, self, args: listed(args) } : undefined,
    }
  }

  /** The debugger stays on until `rest`: turning it on lists every script of the process. */
  script(scriptId: string): ScriptText {
    let text = this.#texts.get(scriptId)
    if (text === undefined) {
      if (!this.#isDebugging) this.#post('Debugger.enable', {})
      this.#isDebugging = true
      const { scriptSource } = this.#post<{ scriptSource: string }>('Debugger.getScriptSource', { scriptId })
      const header = this.#headers.get(scriptId) ?? { url: '', startLine: 0, startColumn: 0, isModule: false }
      text = { ...header, source: scriptSource }
      this.#texts.set(scriptId, text)
    }
    return text
  }

  /** Turns the debugger off again: code runs slower under it. */
  rest(): void {
    if (!this.#isDebugging) return
    this.#post('Debugger.disable', {})
    this.#isDebugging = false
    this.#headers.clear()
  }
}

interface Location {
  readonly scriptId: string
  readonly lineNumber: number
  readonly columnNumber: number
}

interface ScopeEntry {
  readonly object: Variables
}

// The inspector's arrays have no prototype.
const listed = <Item>(items: ArrayLike<Item> | undefined): Item[] => Array.from(items ?? [])

function idOf(object: Runtime.RemoteObject): string {
  if (object.objectId === undefined) throw new CaptureError('CAPTURE_INSPECTOR', 'the inspector gave no object')
  return object.objectId
}

let shared: Inspector | undefined

/** The inspector of this process, opened at its first use. */
export function inspector(): Inspector {
  if (shared === undefined) {
    try {
      const { Session: Opened } = createRequire(import.meta.url)('node:inspector') as typeof import('node:inspector')
      shared = new Inspector(new Opened())
    } catch (cause) {
      if (cause instanceof CaptureError) throw cause
      throw new CaptureError('CAPTURE_INSPECTOR', 'node:inspector cannot be used in this process', { cause })
    }
  }
  return shared
}

/** Call when a capture has ended, well or not. */
export function restInspector(): void {
  shared?.rest()
}
