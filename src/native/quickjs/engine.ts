// QuickJS as a WebAssembly module: compiled once a process, started on a memory with a maximum.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import startEngine from '@jitl/quickjs-wasmfile-release-sync/emscripten-module'

/** The part of the global that is used here (its types come with those of browsers only). */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => object
  readonly Memory: new (size: { readonly initial: number; readonly maximum: number }) => EngineMemory
}

export interface EngineMemory {
  /** Another one after each growth. */
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

/** What is used of the module: QuickJS' functions, on addresses. They lie below the documented interface of the package. */
export interface Engine {
  _malloc(bytes: number): number
  _free(address: number): void
  _QTS_NewRuntime(): number
  _QTS_NewContext(runtime: number, intrinsics: number): number
  _QTS_RuntimeEnableInterruptHandler(runtime: number): void
  _QTS_RuntimeSetMaxStackSize(runtime: number, bytes: number): void
  _QTS_Eval(context: number, code: number, length: number, file: number, detectModule: number, flags: number): number
  _QTS_ResolveException(context: number, value: number): number
  _QTS_NewString(context: number, text: number): number
  _QTS_GetString(context: number, value: number): number
  _QTS_GetUndefined(): number
  _QTS_Call(context: number, callee: number, receiver: number, count: number, values: number): number
  _QTS_Dump(context: number, value: number): number
  _QTS_IsJobPending(runtime: number): number
  _QTS_ExecutePendingJob(runtime: number, most: number, lastContext: number): number
  callbacks: { shouldInterrupt(self: unknown, runtime: number): number }
}

type StartEngine = (options: {
  readonly wasmMemory: EngineMemory
  readonly instantiateWasm: (imports: object, done: (instance: object, module: object) => void) => void
  readonly print: () => void
  readonly printErr: () => void
}) => Promise<Engine>

export const pageBytes = 65536
/** What the module asks for at its start: 16 MB. */
export const initialPages = 256
/** How it is linked: static data, then the stack, then the heap, at whose begin the first allocation lies. */
export const stackBytes = 5 * 1024 * 1024

let compiled: object | undefined

/** @param pages the most that its memory may grow to, in pages of 64 KB. */
export async function newEngine(pages: number): Promise<{ readonly engine: Engine; readonly memory: EngineMemory }> {
  const { resolve } = createRequire(import.meta.url)
  compiled ??= new WebAssembly.Module(readFileSync(resolve('@jitl/quickjs-wasmfile-release-sync/wasm')))
  const module = compiled
  const memory = new WebAssembly.Memory({ initial: initialPages, maximum: Math.max(initialPages, pages) })
  // The types of the package are those of its own wrapper around the module.
  const start = startEngine as unknown as StartEngine
  const engine = await start({
    wasmMemory: memory,
    instantiateWasm: (imports, done) => done(new WebAssembly.Instance(module, imports), module),
    print: () => undefined,
    printErr: () => undefined,
  })
  return { engine, memory }
}
