// The data plane's interface: immutable bytes under an id, written once, read by any executor, gone with their execution.
import { type ErrorOptions, GearmillError } from '../errors.ts'

/** Writes one block in frames; nothing is visible to readers before `close()`. */
export interface BlockWriter {
  /** Adds a frame. The bytes may be reused by the caller when the promise resolves. */
  append(frame: Uint8Array): Promise<void>
  /** Makes the block readable. Writing an id again replaces the block. */
  close(): Promise<void>
  /** Gives up: leaves nothing behind. */
  discard(): Promise<void>
}

export interface BlockStore {
  /** Starts the block `<owner>/<name>`; an owner (an execution) is what `remove` forgets as a whole. */
  writer(owner: string, name: string): BlockWriter
  /** The frames in the order of `append`; throws BlockMissingError where the block, or a part of it, is not there. */
  read(owner: string, name: string): AsyncIterable<Uint8Array>
  /** Removes one block; one that is not there is no error. */
  delete(owner: string, name: string): Promise<void>
  /** Removes what an owner has. `names` are the blocks it may have written; stores that can list do not need them. */
  remove(owner: string, names: Iterable<string>): Promise<void>
  close(): Promise<void>
}

/** Thrown by `read`: caught by the engine, which runs the stage again that made the block. */
export class BlockMissingError extends GearmillError {
  declare readonly code: 'EXECUTION_BLOCK_LOST'
  readonly owner: string
  readonly block: string
  constructor(owner: string, block: string, reason = 'it is not there', options?: ErrorOptions) {
    super('EXECUTION_BLOCK_LOST', `block ${owner}/${block}: ${reason}`, options)
    this.owner = owner
    this.block = block
  }
}
