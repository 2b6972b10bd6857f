// Follows the keyspace events of one server, for those that refuse replicas. What happens while nobody listens is lost; it
// is told that it may have been.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError } from '../../errors.ts'
import type { Address } from '../url.ts'
import { Subscription, type Notice } from './subscription.ts'

const retryMs = 500

export interface NotificationOptions {
  readonly url: string
  readonly address: () => Promise<Address>
  /** Somebody listens from now on; `lost`: nobody did for a while. */
  readonly started: (lost: boolean) => Promise<void>
  readonly take: (notices: readonly Notice[]) => Promise<void>
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

/** Runs until its signal aborts, or `take` throws. */
export async function runNotifications(options: NotificationOptions): Promise<void> {
  const { url, address, signal, trouble, started, take } = options
  let before = false
  while (!signal.aborted) {
    let failed: Error | undefined
    let begin = (): void => undefined
    const open: { subscription?: Subscription } = {}
    const fail = (error: unknown): void => {
      failed ??= error instanceof Error ? error : new ConnectError('CONNECT_LOST', String(error))
      open.subscription?.close()
    }
    let turn = new Promise<void>((resolve) => (begin = resolve)).then(() => started(before)).catch(fail)
    try {
      open.subscription = await Subscription.open({
        url,
        address: await address(),
        events: ['*'],
        signal,
        notices: (notices) => {
          turn = turn.then(() => take(notices)).catch(fail)
        },
      })
      begin()
      await open.subscription.ended
      await turn
      before = true
      if (failed === undefined && !signal.aborted) trouble('listening to notifications', open.subscription.failure)
    } catch (error) {
      if (!signal.aborted) trouble('listening to notifications', error)
    }
    if (failed !== undefined) throw failed
    await delay(retryMs, undefined, { signal }).catch(() => undefined)
  }
}
