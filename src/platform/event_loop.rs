//! Giving the event loop its turn, so that a page stays alive while its worker computes.

/// Natively there is no event loop.
#[cfg(not(target_arch = "wasm32"))]
pub async fn yield_now() {}

/// Waits for a message to oneself, since timers are throttled.
#[cfg(target_arch = "wasm32")]
pub async fn yield_now() {
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    let Ok(channel) = web_sys::MessageChannel::new() else {
        return;
    };
    let (near, far) = (channel.port1(), channel.port2());
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let answer = Closure::once_into_js(move || resolve.call0(&JsValue::NULL));
        near.set_onmessage(Some(answer.unchecked_ref()));
    });
    if far.post_message(&JsValue::NULL).is_ok() {
        // The promise is never rejected.
        let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
    }
    near.close();
}
