// One Redis or Valkey deployment, standalone or cluster, as the rest of Gearmill sees it. Nothing outside of this folder
// knows which client library is used.

import type { EncodedArguments } from './protocol/arguments.ts'
import type { BulkColumn } from './protocol/column.ts'

/** A command or function argument. Numbers are sent as their decimal text. */
export type Argument = string | number | Uint8Array
/**
 * A reply as the protocol (RESP3) has it. Bulk strings are strings, and maps Maps; where `binary` was asked for, bulk strings
 * are Buffers, and maps arrive as flat lists of keys and values, so that keys keep their bytes.
 */
export type Reply = string | number | boolean | null | Buffer | Reply[] | Map<Reply, Reply>

/** A reply where each array of nothing but bulk strings is a column; other strings are text. */
export type ColumnReply = string | number | boolean | null | BulkColumn | ColumnReply[]

export interface CallOptions {
  /** Bulk strings arrive as Buffers. Default: as UTF-8 strings. */
  readonly binary?: boolean
  readonly signal?: AbortSignal
}

/** One primary. */
export interface Shard {
  readonly id: string
  readonly host: string
  readonly port: number
  /** Inclusive slot ranges; one [0, 16383] where the server is no cluster. */
  readonly slots: readonly (readonly [number, number])[]
}

export interface Topology {
  readonly cluster: boolean
  /** In the order of their first slot. */
  readonly shards: readonly Shard[]
  /** `redis` or `valkey`, and its version as [major, minor, patch]. */
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: readonly [number, number, number] }
}

/** A connection of its own, for blocking reads: what waits on it delays nothing else. */
export interface BlockingConnection {
  /** How many connections its commands have met: one more means that the server may have been away between two of them. */
  readonly connections: number
  command(args: readonly Argument[], options?: CallOptions): Promise<Reply>
  close(): Promise<void>
}

export interface Deployment {
  readonly url: string
  readonly topology: Topology
  /** Reads the topology again (after MOVED, a failover, UNBLOCKED) and returns it. */
  refresh(): Promise<Topology>
  /** Hash slot of a key (CRC16 with hash tags), also where the server is no cluster. */
  slotOf(key: string | Uint8Array): number
  /** One command, sent to the owner of `key`. Commands issued in the same tick share a round trip. Waits for a lost connection to return. */
  command(key: string | Uint8Array, args: readonly Argument[], options?: CallOptions): Promise<Reply>
  /** One command on one shard, whatever keys it names. */
  onShard(shard: string, args: readonly Argument[], options?: CallOptions): Promise<Reply>
  /**
   * One command, sent to a shard or to the owner of a key, whose reply is wanted as columns.
   * @param behind further arguments
   */
  columns(
    place: { readonly shard: string } | { readonly key: string | Uint8Array },
    args: readonly Argument[],
    behind?: EncodedArguments,
  ): Promise<ColumnReply>
  /** FCALL of a function of the library; loads the library where it is missing and tries TRYAGAIN, LOADING and lost connections again. Idempotence is the function's own matter. */
  call(name: string, keys: readonly string[], args: readonly Argument[], options?: CallOptions): Promise<Reply>
  /** A blocking connection to the owner of `key`. */
  blocking(key: string): Promise<BlockingConnection>
  close(): Promise<void>
}
