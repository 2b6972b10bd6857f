// Where in a kernel's source something happened, from the stack of what was thrown. QuickJS and V8 write stacks alike.
import type { ProgramModule } from './program.ts'

const folder = 'kernel/'

/** The file name under which a module's source is run: no character of it means anything in a stack. */
export function fileOf(name: string): string {
  return folder + encodeURIComponent(name).replace(/[()'*!~]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
}

export interface Place {
  readonly module: string
  readonly line: number
}

/** The innermost place of a stack that lies in one of the modules. */
export function placeOf(stack: string, modules: readonly ProgramModule[]): Place | undefined {
  for (const [, file, line] of stack.matchAll(/\bkernel\/([^\s():]+):(\d+)/g)) {
    const module = modules.find(({ name }) => fileOf(name) === folder + file)
    if (module) return { module: module.name, line: Number(line) }
  }
  return undefined
}

/** A stack as it can be shown: frames in the kernel's own sources, under their names. */
export function ownStack(stack: string, modules: readonly ProgramModule[]): string {
  const names = new Map(modules.map(({ name }) => [fileOf(name), name]))
  const frames = stack.split('\n').filter((frame) => /^\s+at .*\bkernel\/[^\s():]+:\d+/.test(frame))
  return frames
    .map((frame) => frame.replace(/kernel\/[^\s():]+/, (file) => names.get(file) ?? file).replace(/^\s+/, '    '))
    .join('\n')
}
