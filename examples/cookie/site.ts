/** Starts the example's servers: the realm, the API with its page, and the other site that attacks it. */
import { createServer as createPlainServer, type Server as PlainServer } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import { startRealm } from '../realm.js'
import { createApp } from './app.js'
import type { Certificate } from './certificate.js'
import { COOKIE } from './login.js'
import { lure } from './pages.js'

export interface Site {
  port: number
  /** Of a site that shows {@link lure}, over HTTPS. */
  otherPort: number
  /** Of a server without TLS, which says what cookies came, and sets some. */
  plainPort: number
  stop(): Promise<void>
}

export interface SiteOptions {
  /** The name that the lure sends its form to. */
  host: string
  /** 0, the default, takes a free one. */
  port?: number
}

export async function startSite(certificate: Certificate, { host, port = 0 }: SiteOptions): Promise<Site> {
  const stops: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each()
  }
  const serve = async (server: Server | PlainServer, on = 0): Promise<number> => {
    await listen(server, on)
    stops.push(() => close(server))
    return (server.address() as AddressInfo).port
  }
  try {
    const realm = await startRealm()
    stops.push(realm.stop)
    // TLS alone: nobody answers plain HTTP here, not even with a redirect, which would come after the password.
    const own = await serve(createServer(certificate, await createApp(realm.url)), port)
    const otherPort = await serve(createServer(certificate, otherSite(`https://${host}:${own}/api/orders`)))
    return { port: own, otherPort, plainPort: await serve(createPlainServer(plainSite())), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** It also tries to plant a cookie of its own, for the whole domain where it is on a sub-domain. */
function otherSite(target: string): Express {
  return express().get('/', (request, response) => {
    const domain = request.hostname.split('.').slice(1).join('.')
    response.append('Set-Cookie', `${COOKIE}=planted; Secure; Path=/; Domain=${domain}`).send(lure(target))
  })
}

function plainSite(): Express {
  return express().get('/', (request, response) => {
    response.append('Set-Cookie', `${COOKIE}=planted; Path=/`).append('Set-Cookie', `${COOKIE}=planted; Secure; Path=/`)
    response.type('text').send(request.headers.cookie?.replace(/=[^;]*/g, '') ?? 'no cookie')
  })
}

function listen(server: Server | PlainServer, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve())
  })
}

function close(server: Server | PlainServer): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close(error => (error ? reject(error) : resolve()))
    server.closeAllConnections()
  })
}
