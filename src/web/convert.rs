//! JavaScript values to options, and results and errors to JavaScript values.

use js_sys::{Array, ArrayBuffer, Float32Array, Object, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::error::Error;
use crate::interface::LineupOptions;
use crate::merge::options::MergeOptions;
use crate::merge::recipe::Recipe;

pub(super) fn narrow(values: &[f64]) -> Float32Array {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    values.as_slice().into()
}

/// Options that may be left out.
pub(super) fn optional<T: DeserializeOwned + Default>(value: JsValue) -> Result<T, JsValue> {
    if value.is_undefined() || value.is_null() { Ok(T::default()) } else { options(value) }
}

/// A choice by its word.
pub(super) fn choice<T: DeserializeOwned>(argument: &'static str, value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|e| to_js_error(Error::argument(argument, e.to_string())))
}

/// Options of a merge, whose `repair` is a word or the bytes of a file.
pub(super) fn merge_options(value: JsValue) -> Result<MergeOptions, JsValue> {
    let copy = Object::assign(&Object::new(), value.unchecked_ref());
    let recipe = Reflect::get(&copy, &"recipe".into())?;
    if !recipe.is_undefined() {
        // Read on its own first, so that the error says what is wrong with what.
        let read: Result<Recipe, _> = serde_wasm_bindgen::from_value(recipe);
        read.map_err(|e| to_js_error(Error::argument("recipe", format!("it cannot be read: {e}"))))?;
    }
    let repair = Reflect::get(&copy, &"repair".into())?;
    let maps = repair.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
    if maps.is_some() {
        Reflect::set(&copy, &"repair".into(), &JsValue::UNDEFINED)?;
    }
    Ok(MergeOptions { repair_maps: maps, ..options(copy.into())? })
}

/// Options of a line-up, in which token ids come at several places.
pub(super) fn lineup_options(value: JsValue) -> Result<LineupOptions, JsValue> {
    let copy = Object::assign(&Object::new(), value.unchecked_ref());
    let calibrate = Reflect::get(&copy, &"calibrate".into())?;
    Reflect::set(&copy, &"calibrate".into(), &plain_ids(&calibrate)?.into())?;
    // What is no list stays as it is: the deserialiser says what is wrong with it.
    let texts = Reflect::get(&copy, &"texts".into())?;
    if let Some(texts) = texts.dyn_ref::<Array>() {
        let plain = texts.iter().map(|text| plain_ids(&text).map(JsValue::from)).collect::<Result<Array, _>>()?;
        Reflect::set(&copy, &"texts".into(), &plain)?;
    }
    options(copy.into())
}

/// Options from JavaScript. Typed arrays of ids become plain ones, which is what the deserialiser
/// reads.
pub(super) fn options<T: DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(plain_ids(&value)?.into())
        .map_err(|e| to_js_error(Error::argument("options", e.to_string())))
}

/// A copy of an object in which `ids` is a plain array.
fn plain_ids(value: &JsValue) -> Result<Object, JsValue> {
    let copy = Object::assign(&Object::new(), value.unchecked_ref());
    let ids = Reflect::get(&copy, &"ids".into())?;
    if ArrayBuffer::is_view(&ids) {
        Reflect::set(&copy, &"ids".into(), &Array::from(&ids))?;
    }
    Ok(copy)
}

pub(super) fn to_js<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, JsValue> {
    Ok(value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

/// An error as the page's side expects it.
pub(super) fn to_js_error(error: Error) -> JsValue {
    let object = Object::new();
    let (name, code) = if error == Error::Cancelled { ("AbortError", None) } else { ("MkaError", Some(error.code())) };
    let fields =
        [("name", Some(name)), ("code", code), ("message", Some(&*error.message())), ("hint", Some(error.hint()))];
    for (key, value) in fields {
        if let Some(value) = value {
            // Setting a key of a plain object cannot fail.
            let _ = Reflect::set(&object, &key.into(), &value.into());
        }
    }
    object.into()
}
