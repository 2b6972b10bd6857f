// A private cluster: servers of our own, formed by commands (no redis-cli), that comes back from a kept directory with
// its node ids, its slots and its data.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ServerError } from '../errors.ts'
import { findServer } from './binary.ts'
import { freePorts, isFree } from './ports.ts'
import {
  prepareDirectory,
  refuseData,
  removeTemporary,
  launchServer,
  temporaryDirectory,
  type PrivateServer,
  type ServerOptions,
} from './standalone.ts'
import { Wire } from './wire.ts'

export interface ClusterOptions extends Omit<ServerOptions, 'socket' | 'port'> {
  /** Primaries. */
  readonly shards: number
  /** Replicas of each primary. Default: 0. */
  readonly replicas?: number
}

export interface PrivateCluster {
  /** Of the first node, with the password, ready for connect(). */
  readonly url: string
  /** The primaries (as they were at the start) in the order of their slots, then the replicas in that order. */
  readonly nodes: readonly PrivateServer[]
  readonly dir: string
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What is needed to find the nodes of a kept directory again; node ids and slots are in each node's nodes.conf. */
interface Layout {
  readonly shards: number
  readonly replicas: number
  readonly ports: readonly number[]
  readonly busPorts: readonly number[]
  readonly formed: boolean
}

const formTimeoutMs = 30_000
const slotCount = 16384
const startAttempts = 5

/**
 * Starts a private cluster and waits until every node takes commands for every slot (two seconds: what a cluster node waits
 * after its start before it trusts the state it sees).
 *
 * Throws `SERVER_NOT_FOUND`, and `SERVER_START` where a node does not start, the nodes do not agree in time, or `dir` holds
 * a cluster of another shape.
 */
export async function startCluster(options: ClusterOptions): Promise<PrivateCluster> {
  const { shards, replicas = 0 } = options
  if (!Number.isInteger(shards) || shards < 1 || !Number.isInteger(replicas) || replicas < 0) {
    throw new ServerError(
      'SERVER_START',
      `expected one shard or more and no or more replicas, got ${shards} and ${replicas}`,
    )
  }
  const binary = options.binary ?? (await findServer())
  const kept = options.dir !== undefined
  if (options.dir !== undefined) {
    await refuseData(options.dir, ['server.json', 'dump.rdb', 'appendonlydir'], 'a single server')
  }
  const dir = options.dir !== undefined ? await prepareDirectory(options.dir) : await temporaryDirectory()
  try {
    for (let attempt = 1; ; attempt++) {
      const layout = await prepareLayout(dir, shards, replicas)
      try {
        const nodes = await startNodes({ ...options, binary }, dir, layout, kept)
        return new RunningCluster(nodes, dir, kept)
      } catch (error) {
        const collided = error instanceof ServerError && /Address already in use|Failed listening/.test(error.message)
        if (!collided || attempt === startAttempts) throw error
      }
    }
  } catch (error) {
    if (!kept) await removeTemporary(dir)
    throw error
  }
}

class RunningCluster implements PrivateCluster {
  readonly url: string
  readonly nodes: readonly PrivateServer[]
  readonly dir: string
  readonly #kept: boolean

  constructor(nodes: readonly PrivateServer[], dir: string, kept: boolean) {
    this.url = nodes[0]?.url ?? ''
    this.nodes = nodes
    this.dir = dir
    this.#kept = kept
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
    if (!this.#kept) await removeTemporary(this.dir)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

async function startNodes(
  options: ClusterOptions,
  dir: string,
  layout: Layout,
  kept: boolean,
): Promise<PrivateServer[]> {
  const started = await Promise.allSettled(
    layout.ports.map((port, index) =>
      launchServer(
        {
          ...options,
          port,
          dir: nodeDirectory(dir, index),
          config: {
            'cluster-enabled': 'yes',
            'cluster-config-file': 'nodes.conf',
            'cluster-port': String(layout.busPorts[index]),
            'cluster-node-timeout': '3000',
            ...options.config,
          },
        },
        kept,
      ),
    ),
  )
  const nodes = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  try {
    for (const result of started) if (result.status === 'rejected') throw result.reason
    await form(nodes, layout, options)
    await writeFile(join(dir, 'cluster.json'), JSON.stringify({ ...layout, formed: true }))
    return nodes
  } catch (error) {
    await Promise.all(nodes.map((node) => node.kill()))
    throw error
  }
}

function nodeDirectory(dir: string, index: number): string {
  return join(dir, `node-${index}`)
}

/** The ports to use: those of last time where they are free, else new ones, which the nodes are told of. */
async function prepareLayout(dir: string, shards: number, replicas: number): Promise<Layout> {
  const previous = await readLayout(dir)
  const count = shards * (1 + replicas)
  if (previous === undefined || !previous.formed) {
    // A start that did not end left nodes that know half of each other, and no data: nobody was given its address.
    if (previous !== undefined) {
      await Promise.all(
        previous.ports.map((_, index) => rm(nodeDirectory(dir, index), { recursive: true, force: true })),
      )
    }
    const ports = await freePorts(2 * count)
    const layout = { shards, replicas, ports: ports.slice(0, count), busPorts: ports.slice(count), formed: false }
    await writeFile(join(dir, 'cluster.json'), JSON.stringify(layout))
    return layout
  }
  if (previous.shards !== shards || previous.replicas !== replicas) {
    throw new ServerError(
      'SERVER_START',
      `${dir} holds a cluster of ${previous.shards} shards with ${previous.replicas} replicas each, not ${shards} with ${replicas}`,
      { hint: 'Ask for the same numbers, or choose another directory.' },
    )
  }
  const taken = await Promise.all([...previous.ports, ...previous.busPorts].map(async (port) => !(await isFree(port))))
  if (!taken.includes(true)) return previous
  const ports = await freePorts(2 * count)
  const layout = { ...previous, ports: ports.slice(0, count), busPorts: ports.slice(count) }
  await moveNodes(dir, previous, layout)
  await writeFile(join(dir, 'cluster.json'), JSON.stringify(layout))
  return layout
}

async function readLayout(dir: string): Promise<Layout | undefined> {
  try {
    const layout: Layout = JSON.parse(await readFile(join(dir, 'cluster.json'), 'utf8'))
    return layout
  } catch {
    return undefined
  }
}

/** Writes the new addresses into every nodes.conf: nodes that all moved at once could not find each other by gossip. */
async function moveNodes(dir: string, from: Layout, to: Layout): Promise<void> {
  for (const index of from.ports.keys()) {
    const path = join(nodeDirectory(dir, index), 'nodes.conf')
    let text = await readFile(path, 'utf8')
    text = text.replaceAll(/127\.0\.0\.1:(\d+)@(\d+)/g, (address, port: string) => {
      const node = from.ports.indexOf(Number(port))
      return node < 0 ? address : `127.0.0.1:${to.ports[node]}@${to.busPorts[node]}`
    })
    await writeFile(path, text)
  }
}

async function form(nodes: readonly PrivateServer[], layout: Layout, options: ClusterOptions): Promise<void> {
  const wires = await Promise.all(nodes.map((node) => openWire(node)))
  try {
    if (!layout.formed) await meet(wires, layout)
    await agree(wires, nodes.length, layout.formed ? 0 : layout.shards, options.signal)
    if (!layout.formed && layout.replicas > 0) {
      const primaries = wires.slice(0, layout.shards)
      const ids = await Promise.all(primaries.map(async (wire) => String(await wire.command('CLUSTER', 'MYID'))))
      const followers = wires.slice(layout.shards)
      await Promise.all(
        followers.map((wire, i) => wire.command('CLUSTER', 'REPLICATE', ids[Math.floor(i / layout.replicas)] ?? '')),
      )
      await untilReplicasKnown(wires, followers, options.signal)
    }
  } finally {
    for (const wire of wires) wire.close()
  }
}

/** Gives the slots out and introduces every node to every other: gossip alone would take seconds. */
async function meet(wires: readonly Wire[], layout: Layout): Promise<void> {
  await Promise.all(
    wires.map(async (wire, index) => {
      // Different epochs, as a creating tool sets them: nodes of the same epoch would first have to settle who is who.
      await wire.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      if (index >= layout.shards) return
      const first = Math.ceil((index * slotCount) / layout.shards)
      const last = Math.ceil(((index + 1) * slotCount) / layout.shards) - 1
      await wire.command('CLUSTER', 'ADDSLOTSRANGE', first, last)
    }),
  )
  for (const [index, wire] of wires.entries()) {
    for (const other of layout.ports.keys()) {
      if (other <= index) continue
      await wire.command('CLUSTER', 'MEET', '127.0.0.1', layout.ports[other] ?? 0, layout.busPorts[other] ?? 0)
    }
  }
}

/** Waits until every node knows all nodes and says that the cluster is whole; `primaries` of 0 asks for no number of them. */
async function agree(wires: readonly Wire[], nodes: number, primaries: number, signal?: AbortSignal): Promise<void> {
  await Promise.all(
    wires.map((wire) =>
      until(async () => {
        const state = String(await wire.command('CLUSTER', 'INFO'))
        const size = Number(/^cluster_size:(\d+)/m.exec(state)?.[1])
        return (
          /^cluster_state:ok/m.test(state) &&
          Number(/^cluster_known_nodes:(\d+)/m.exec(state)?.[1]) === nodes &&
          (primaries === 0 || size === primaries)
        )
      }, signal),
    ),
  )
}

async function until(condition: () => Promise<boolean>, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + formTimeoutMs
  while (!(await condition())) {
    signal?.throwIfAborted()
    if (performance.now() > deadline) {
      throw new ServerError('SERVER_START', `the nodes of the cluster did not agree within ${formTimeoutMs / 1000} s`)
    }
    await delay(20)
  }
}

/** Every replica is in step, and every node knows it as one. */
async function untilReplicasKnown(
  wires: readonly Wire[],
  replicas: readonly Wire[],
  signal?: AbortSignal,
): Promise<void> {
  const inStep = replicas.map((wire) =>
    until(async () => /^master_link_status:up/m.test(String(await wire.command('INFO', 'replication'))), signal),
  )
  const known = wires.map((wire) =>
    until(async () => {
      const lines = String(await wire.command('CLUSTER', 'NODES')).split('\n')
      return lines.filter((line) => /^\S+ \S+ (myself,)?slave/.test(line)).length === replicas.length
    }, signal),
  )
  await Promise.all([...inStep, ...known])
}

async function openWire(node: PrivateServer): Promise<Wire> {
  const wire = await Wire.open({ port: node.port })
  if (node.password !== undefined) await wire.command('AUTH', node.password)
  return wire
}
