;; Products of packed matrices, tile by tile of 4 rows and 8 columns, with fused multiply-add: what
;; the compiler of the crate may not use, since a browser that does not know it would refuse all of
;; the crate. tiles.rs says how the matrices are packed, checks that they are as long as is said
;; here, and falls back on the crate `gemm`.
;;
;; 8 sums, 2 columns' halves and 1 value are 11 of the 16 registers that x86-64 has; with 10 or 12
;; sums some engines spill them.
(module
  (import "main" "memory" (memory 0))
  ;; Addresses of what is packed and of the sums; how many panels, groups and products there are,
  ;; each at least 1.
  (func (export "tiles")
    (param $columns i32) (param $rows i32) (param $sums i32) (param $panels i32) (param $groups i32) (param $length i32)
    (local $column i32) (local $row i32) (local $group i32) (local $left i32)
    (local $low v128) (local $high v128) (local $value v128)
    (local $low0 v128) (local $low1 v128) (local $low2 v128) (local $low3 v128)
    (local $high0 v128) (local $high1 v128) (local $high2 v128) (local $high3 v128)
    (loop $each_panel
      (local.set $row (local.get $rows))
      (local.set $group (local.get $groups))
      (loop $each_group
        (local.set $column (local.get $columns))
        (local.set $left (local.get $length))
        (local.set $low0 (v128.const f32x4 0 0 0 0))
        (local.set $low1 (v128.const f32x4 0 0 0 0))
        (local.set $low2 (v128.const f32x4 0 0 0 0))
        (local.set $low3 (v128.const f32x4 0 0 0 0))
        (local.set $high0 (v128.const f32x4 0 0 0 0))
        (local.set $high1 (v128.const f32x4 0 0 0 0))
        (local.set $high2 (v128.const f32x4 0 0 0 0))
        (local.set $high3 (v128.const f32x4 0 0 0 0))
        (loop $each_product
          (local.set $low (v128.load (local.get $column)))
          (local.set $high (v128.load offset=16 (local.get $column)))
          (local.set $value (v128.load32_splat (local.get $row)))
          (local.set $low0 (f32x4.relaxed_madd (local.get $low) (local.get $value) (local.get $low0)))
          (local.set $high0 (f32x4.relaxed_madd (local.get $high) (local.get $value) (local.get $high0)))
          (local.set $value (v128.load32_splat offset=4 (local.get $row)))
          (local.set $low1 (f32x4.relaxed_madd (local.get $low) (local.get $value) (local.get $low1)))
          (local.set $high1 (f32x4.relaxed_madd (local.get $high) (local.get $value) (local.get $high1)))
          (local.set $value (v128.load32_splat offset=8 (local.get $row)))
          (local.set $low2 (f32x4.relaxed_madd (local.get $low) (local.get $value) (local.get $low2)))
          (local.set $high2 (f32x4.relaxed_madd (local.get $high) (local.get $value) (local.get $high2)))
          (local.set $value (v128.load32_splat offset=12 (local.get $row)))
          (local.set $low3 (f32x4.relaxed_madd (local.get $low) (local.get $value) (local.get $low3)))
          (local.set $high3 (f32x4.relaxed_madd (local.get $high) (local.get $value) (local.get $high3)))
          (local.set $column (i32.add (local.get $column) (i32.const 32)))
          (local.set $row (i32.add (local.get $row) (i32.const 16)))
          (br_if $each_product (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (v128.store (local.get $sums) (local.get $low0))
        (v128.store offset=16 (local.get $sums) (local.get $high0))
        (v128.store offset=32 (local.get $sums) (local.get $low1))
        (v128.store offset=48 (local.get $sums) (local.get $high1))
        (v128.store offset=64 (local.get $sums) (local.get $low2))
        (v128.store offset=80 (local.get $sums) (local.get $high2))
        (v128.store offset=96 (local.get $sums) (local.get $low3))
        (v128.store offset=112 (local.get $sums) (local.get $high3))
        (local.set $sums (i32.add (local.get $sums) (i32.const 128)))
        (br_if $each_group (local.tee $group (i32.sub (local.get $group) (i32.const 1)))))
      (local.set $columns (local.get $column))
      (br_if $each_panel (local.tee $panels (i32.sub (local.get $panels) (i32.const 1)))))))
