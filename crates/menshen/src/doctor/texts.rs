//! What a person is told: what to do at each input, what was seen, what helps.

use domain::Words;
use gate::barrier::Refusal;
use gate::barrier::managed::Output;
use gate::line::Line;

use super::session::Look;

/// What an input is like at rest.
pub(super) fn rest(input: &Line) -> Words {
    match input {
        Line::ArrivalLoop(_) => Words::new(
            "地感上没有车，旁边没有铁器",
            "no vehicle on the loop and no iron near it",
        ),
        Line::SafetyLoop => Words::new(
            "闸杆下没有车，也没有铁器",
            "no vehicle and no iron under the boom",
        ),
        Line::LightBeam => Words::new(
            "光电对射之间没有遮挡",
            "nothing between the beam's two ends",
        ),
        Line::GuardButton => Words::new("没有人按按钮", "nobody presses the button"),
        Line::Fire => Words::new("没有火警，消防线接好", "no fire alarm, its wires connected"),
        Line::Stop => Words::new("急停没有按下", "STOP is not pressed"),
        Line::OpenedLimit => Words::new(
            "闸杆没有升到位（落下，或停在中间）",
            "the boom is not fully up (down, or halfway)",
        ),
        Line::ClosedLimit => Words::new(
            "闸杆没有落到位（升起，或停在中间）",
            "the boom is not fully down (up, or halfway)",
        ),
    }
}

/// How to make an input active.
pub(super) fn activate(input: &Line) -> Words {
    match input {
        Line::ArrivalLoop(lane) => Words::new(
            format!("请把一辆车开到车道 {lane} 的闸前地感上（或放一块大铁板）"),
            format!(
                "Drive a car onto the loop before the boom of lane {lane} (or lay a large iron plate on it)"
            ),
        ),
        Line::SafetyLoop => Words::new(
            "请把大铁板（或小车）放到闸杆下的地感上。人不要站在闸杆下",
            "Lay a large iron plate (or a trolley) on the loop under the boom. Stand beside the boom, not under it",
        ),
        Line::LightBeam => Words::new(
            "请用纸板挡住光电对射",
            "Cover the light beam with cardboard",
        ),
        Line::GuardButton => Words::new(
            "请按住门卫的开闸按钮（调试期间按了不会开闸）",
            "Press the guard's OPEN button and hold it (it opens nothing while this runs)",
        ),
        Line::Fire => Words::new(
            "请让消防触点动作：按测试钮，或拔下一根线（调试期间不会开闸）",
            "Make the fire contact act: press its test button, or take a wire off (it opens nothing while this runs)",
        ),
        Line::Stop => Words::new("请按下急停", "Press STOP"),
        Line::OpenedLimit => Words::new(
            "请用道闸自己的按钮或遥控器把闸杆升到位。下面不要站人",
            "Raise the boom fully with the barrier's own button or remote control. Nobody below it",
        ),
        Line::ClosedLimit => Words::new(
            "请用道闸自己的按钮或遥控器把闸杆落到位。下面不要站人",
            "Lower the boom fully with the barrier's own button or remote control. Nobody below it",
        ),
    }
}

/// How to let it rest again.
pub(super) fn let_go(input: &Line) -> Words {
    match input {
        Line::ArrivalLoop(_) | Line::SafetyLoop => Words::new(
            "看到变化了。请把车或铁板移开",
            "Seen. Take the car or the plate away",
        ),
        Line::LightBeam => Words::new("看到变化了。请拿开纸板", "Seen. Take the cardboard away"),
        Line::GuardButton => Words::new("看到变化了。请松开按钮", "Seen. Let go of the button"),
        Line::Fire => Words::new(
            "看到变化了。请把消防触点恢复",
            "Seen. Put the fire contact back",
        ),
        Line::Stop => Words::new("看到变化了。请把急停旋开复位", "Seen. Unlock STOP"),
        Line::OpenedLimit => Words::new(
            "看到变化了。请让闸杆离开升到位的位置",
            "Seen. Let the boom leave its upper end",
        ),
        Line::ClosedLimit => Words::new(
            "看到变化了。请让闸杆离开落到位的位置",
            "Seen. Let the boom leave its lower end",
        ),
    }
}

/// The key of an input in the configuration, with the table it stands in.
pub(super) fn key(input: &Line, barrier: &str) -> String {
    match input {
        Line::ArrivalLoop(lane) => format!("[[lane]] {lane}: arrival_loop"),
        other => format!("[[barrier]] {barrier}: {other}"),
    }
}

/// A trusted level, in Chinese and in English.
pub(super) fn level_words(level: Option<bool>) -> (&'static str, &'static str) {
    match level {
        Some(true) => ("动作", "active"),
        Some(false) => ("静止", "at rest"),
        None => ("还不稳定", "not steady yet"),
    }
}

/// What a boom does while an output is energised.
pub(super) fn movement(output: Output) -> (&'static str, &'static str) {
    match output {
        Output::Open => ("抬起", "rise"),
        Output::Close => ("落下", "come down"),
        Output::Stop | Output::Test => ("保持不动", "stay where it is"),
    }
}

/// What helps against chatter.
pub(super) fn chatter_cure() -> Words {
    Words::new(
        "查端子是否松、线是否和动力线走在一起；按钮质量差可在配置里把 debounce 加大到 100ms",
        "check for a loose terminal and a cable that runs beside power lines; for a poor button raise \
         debounce to 100ms in the configuration",
    )
}

/// What helps where a port does not open or does not answer.
pub(super) fn port_cure() -> Words {
    Words::new(
        "查板子的电源和线、配置里的设备名和线号、本用户的权限；别的程序不能同时占用",
        "check the board's supply and cable, the device and line in the configuration, and this user's \
         rights; no other program may hold it",
    )
}

/// Why a barrier did not give a pulse, and what helps.
pub(super) fn refusal_words(reason: Refusal) -> (Words, Words) {
    match reason {
        Refusal::StopActive => (
            Words::new(
                "急停输入动作，没有开闸",
                "the STOP input is active; it was not opened",
            ),
            Words::new(
                "旋开急停，或先把急停的极性调正",
                "unlock STOP, or put its polarity right first",
            ),
        ),
        Refusal::RelayGuardLost => (
            Words::new(
                "没有读到急停，或端口不在手里，没有开闸",
                "STOP is not known or the port is not held; it was not opened",
            ),
            port_cure(),
        ),
        other => (
            Words::new(
                format!("道闸程序拒绝了（{other}）"),
                format!("the barrier refused it: {other}"),
            ),
            Words::new("再试一次；还不行就重新开始调试", "try again, or begin anew"),
        ),
    }
}

/// What a camera has shown.
pub(super) fn look_words(look: &Look) -> Words {
    let Some((width, height)) = look.size.filter(|_| look.frames > 0) else {
        let why = look.trouble.clone().unwrap_or_default();
        return Words::new(
            format!("没有收到画面 {why}").trim().to_owned(),
            format!("no picture came {why}").trim().to_owned(),
        );
    };
    let rate = format!(
        "{}.{}",
        look.tenths_a_second / 10,
        look.tenths_a_second % 10
    );
    let (plates_zh, plates_en) = if look.plates.is_empty() {
        ("没有读到车牌".to_owned(), "no plate was read".to_owned())
    } else {
        let plates = look.plates.join(" ");
        (format!("读到车牌 {plates}"), format!("read {plates}"))
    };
    Words::new(
        format!("画面 {width} × {height}，每秒 {rate} 张，{plates_zh}"),
        format!("pictures of {width} x {height}, {rate} a second, {plates_en}"),
    )
}
