/** The site of a client, for `--serve`: sends a person to the authorization server, and shows what came of it. */
import express, { type Express } from 'express'
import { pageHeaders } from '../grants/pages.js'
import { type Listening, listen } from '../listen.js'
import { beginAuthorization, exchangeCode, type Pending, revokeToken } from './client.js'
import { scopes } from './provider.js'
import type { Registered } from './registry.js'
import { call, type Place, type Scene } from './scene.js'

export function startSite(scene: Scene): Promise<Listening> {
  return listen(async url => {
    const redirectUris = [`${url}/callback`]
    const add = (name: string, tokenSeconds?: number) =>
      scene.issuer.clients.add({ name, redirectUris, ...(tokenSeconds !== undefined && { tokenSeconds }) })
    return createSite(scene, await add('The client'), await add('The client with a time-out', 20))
  })
}

function createSite(scene: Scene, endless: Registered, brief: Registered): Express {
  const { url: issuer } = scene.issuer
  const api = scene.api.url
  /** By `state`, which the browser keeps in a cookie, too: the answer must come from the browser that asked. */
  const waiting = new Map<string, { client: Registered; pending: Pending }>()
  const app = express().disable('x-powered-by')
  app.use(express.urlencoded({ extended: false }))
  app.use((_req, res, next) => {
    res.set(pageHeaders)
    next()
  })

  app.get('/', (_req, res) => {
    const unknown = { ...endless, clientId: 'nobody' }
    const elsewhere = { ...endless, redirectUri: 'https://thief.example/callback' }
    const link = (href: string, words: string) => `<li><a href="${text(href)}">${words}</a></li>`
    const login = (scope: string, words: string, client = '') => link(`/login?${new URLSearchParams({ scope, client })}`, words)
    res.send(
      page(
        'A client',
        `<ul>
${login('orders:read', 'Ask for orders:read')}
${login(scopes.join(' '), 'Ask for all scopes')}
${login('orders:read', 'Ask for orders:read, for 20 seconds', 'brief')}
${login('everything', 'Ask for a scope that does not exist: you come back with an error')}
${link(beginAuthorization(issuer, unknown, 'orders:read').url.href, 'An unknown client: you are told, and stay there')}
${link(beginAuthorization(issuer, elsewhere, 'orders:read').url.href, 'An address that is not registered: the same')}
</ul>`,
      ),
    )
  })

  app.get('/login', (req, res) => {
    const client = req.query.client === 'brief' ? brief : endless
    const { url, pending } = beginAuthorization(issuer, client, String(req.query.scope ?? ''))
    // Nobody starts a thousand logins and ends none; the oldest goes.
    if (waiting.size >= 1_000) waiting.delete(waiting.keys().next().value!)
    waiting.set(pending.state, { client, pending })
    res.cookie('state', pending.state, { httpOnly: true, sameSite: 'lax', maxAge: 600_000 }).redirect(303, url.href)
  })

  app.get('/callback', async (req, res) => {
    const state = String(req.query.state)
    const known = req.headers.cookie?.split('; ').includes(`state=${state}`) ? waiting.get(state) : undefined
    waiting.delete(state)
    if (known === undefined) return void res.status(400).send(page('Start again', '<p>This login was not begun here, or it is over.</p>'))
    if (typeof req.query.code !== 'string')
      return void res.send(page('No access', `<p>${text(`${req.query.error}: ${req.query.error_description}`)}</p>`))
    const { access_token: token = '', ...rest } = await exchangeCode(issuer, known.client, req.query.code, known.pending)
    res.send(tokenPage(token, `<p>The answer of the authorization server: <code>${text(JSON.stringify(rest))}</code></p>`))
  })

  app.post('/call', async (req, res) => {
    const { token = '', route = '', place = 'header' } = req.body as { token?: string; route?: string; place?: Place }
    const response = await call(api, ['/who-am-i', '/either', '/both'].find(each => each === route) ?? '/who-am-i', token, place)
    res.send(tokenPage(token, `<p role="status">${response.status} <code>${text(await response.text())}</code></p>`))
  })

  app.post('/revoke', async (req, res) => {
    const token = String(req.body.token)
    for (const client of [endless, brief]) await revokeToken(issuer, client, token)
    res.send(tokenPage(token, '<p role="status">Revoked.</p>'))
  })
  return app
}

/** This site shows the token because one is here to try it. A real one keeps it out of its pages. */
function tokenPage(token: string, happened: string): string {
  const hidden = `<input type="hidden" name="token" value="${text(token)}">`
  const button = (route: string, place: Place, words: string) =>
    `<form method="post" action="/call">${hidden}<input type="hidden" name="route" value="${route}"><input type="hidden" name="place" value="${place}"><button>${words}</button></form>`
  return page(
    'Your token',
    `${happened}
<p><code>${text(token)}</code></p>
${button('/who-am-i', 'header', 'Call the API with it in the header')}
${button('/who-am-i', 'form', 'in the form')}
${button('/who-am-i', 'query', 'in the address')}
${button('/either', 'header', 'Call what needs orders:read or orders:write')}
${button('/both', 'header', 'Call what needs orders:read and profile')}
<form method="post" action="/revoke">${hidden}<button>Revoke it</button></form>
<p><a href="/">From the beginning</a></p>`,
  )
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
button { font: inherit; margin: .2rem 0 } code { overflow-wrap: anywhere }</style>
</head>
<body><main><h1>${title}</h1>
${body}
</main></body>
</html>`
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
