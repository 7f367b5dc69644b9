/** The pages of the authorization server: plain HTML that works without scripts, with a keyboard, and in a screen reader. */

const style = `body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 2rem auto; padding: 0 1rem }
label { display: block; margin: 1rem 0 } input { display: block; width: 100%; box-sizing: border-box }
input, button { font: inherit; padding: .4rem .8rem } [role=alert] { color: #a00 }`

/** Sent with every page: nothing from elsewhere, no scripts, and never in another site's frame, where it could be clicked unseen. */
export const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
}

/** What a user reads in place of a scope's name. */
const meanings: Readonly<Record<string, string>> = {
  openid: 'Know who you are',
  offline_access: 'Do so while you are away',
  'orders:read': 'Read your orders',
  'orders:write': 'Change your orders',
}

export function loginPage(action: string, problem?: string): string {
  return page(
    'Log in',
    `${alert(problem)}<form method="post" action="${text(action)}">
<label>Name <input name="name" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>`,
  )
}

export function consentPage(action: string, client: string, scopes: readonly string[]): string {
  const items = scopes.map(scope => `<li>${text(meanings[scope] ?? scope)}</li>`).join('\n')
  return page(
    'Allow access?',
    `<p><strong>${text(client)}</strong> asks to:</p>
<ul>
${items}
</ul>
<form method="post" action="${text(action)}">
<button name="answer" value="allow">Allow</button>
<button name="answer" value="decline">Decline</button>
</form>`,
  )
}

export function userCodePage(action: string, secret: string, problem?: string): string {
  return page(
    'Connect a device',
    `${alert(problem)}<form method="post" action="${text(action)}">
<input type="hidden" name="xsrf" value="${text(secret)}">
<label>The code that your device shows <input name="user_code" autocomplete="off" autocapitalize="characters" required autofocus></label>
<button>Continue</button>
</form>`,
  )
}

/** Shows the code once more: whoever was sent here by a link must see that it is the one on the own device (RFC 8628 §3.3.1). */
export function confirmPage(action: string, secret: string, client: string, userCode: string): string {
  return page(
    'Is this your device?',
    `<p><strong>${text(client)}</strong> must show this code: <strong>${text(userCode)}</strong></p>
<p>Continue only if you see it on a device of yours.</p>
<form method="post" action="${text(action)}">
<input type="hidden" name="xsrf" value="${text(secret)}">
<input type="hidden" name="user_code" value="${text(userCode)}">
<button name="confirm" value="yes">It is mine</button>
<button name="abort" value="yes">It is not</button>
</form>`,
  )
}

export function messagePage(title: string, message: string): string {
  return page(title, `<p>${text(message)}</p>`)
}

function alert(problem: string | undefined): string {
  return problem === undefined ? '' : `<p role="alert">${text(problem)}</p>\n`
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${style}</style>
</head>
<body><main>
<h1>${text(title)}</h1>
${body}
</main></body>
</html>`
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
