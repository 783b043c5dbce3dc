//! What the trial of an input, an output or a camera comes to.

use std::time::Duration;

use domain::Words;
use gate::Monotonic;
use gate::barrier::managed::Output;

use super::{Action, Look, Phase, Port, Session};
use crate::doctor::finding::Finding;
use crate::doctor::plan::Item;
use crate::doctor::texts;

impl Session {
    pub(super) fn at_rest(&mut self, now: Monotonic, out: &mut Vec<Action>) {
        let Some(contact) = self.contact() else {
            return;
        };
        let Some(rest) = contact.level else {
            out.push(Action::Say(Words::new(
                "还没有读到稳定的电平，请再等一下回答 y",
                "There is no steady level yet; wait a moment and answer y",
            )));
            return self.ask_again(out);
        };
        if rest {
            out.push(Action::Say(Words::new(
                "注意：静止时读到的是“动作”，可能常开常闭写反了，或线断了。继续试一次看看",
                "Note: it reads as active at rest. Normally open and closed may be swapped, or a \
                 wire is off. Let us see",
            )));
        }
        self.phase = Phase::Activate {
            rest,
            since: now,
            claimed: None,
            reminded: false,
        };
        self.ask_again(out);
    }

    pub(super) fn never_changed(&mut self, out: &mut Vec<Action>) {
        let Some((_, input)) = self.input() else {
            return;
        };
        let raw = self.contact().map_or(0, |contact| contact.changes);
        let place = input.place.clone();
        let (seen, cure) = if raw == 0 {
            (
                Words::new("触点一次也没有变化", "the contact never changed"),
                Words::new(
                    format!(
                        "查线是否接在这里：{}；用万用表在端子上看触点是否真的动作；查公共线和检测器的电源",
                        place.chinese
                    ),
                    format!(
                        "check that it is wired here: {}; watch the contact with a meter at the terminal; \
                         check the common wire and the detector's supply",
                        place.english
                    ),
                ),
            )
        } else {
            (
                Words::new(
                    format!("触点变化了 {raw} 次，但没有一次稳定"),
                    format!("the contact changed {raw} times and never settled"),
                ),
                texts::chatter_cure(),
            )
        };
        self.wrong(seen, cure, out);
    }

    pub(super) fn did_not_return(&mut self, rest: bool, out: &mut Vec<Action>) {
        let (zh, en) = texts::level_words(Some(!rest));
        self.wrong(
            Words::new(
                format!("变化了一次，之后一直停在“{zh}”"),
                format!("it changed once and has stayed {en} since"),
            ),
            Words::new(
                "查触点是否卡住、地感检测器是否还占用、线是否短路",
                "check for a stuck contact, a detector that is still occupied, a short circuit",
            ),
            out,
        );
    }

    /// The input became active and rests again: what that shows.
    pub(super) fn judge_input(&mut self, now: Monotonic, rest: bool, out: &mut Vec<Action>) {
        let Some(Item::Input { barrier, input }) = self.plan.items.get(self.at).cloned() else {
            return;
        };
        let plan = self.plan.barriers[barrier].inputs[input].clone();
        let contact = &mut self.barriers[barrier].contacts[input];
        let changes = contact.changes;
        if contact.chattered {
            return self.wrong(
                Words::new(
                    format!("看到了动作，但触点抖动：变化了 {changes} 次"),
                    format!("seen, but the contact chatters: {changes} changes"),
                ),
                texts::chatter_cure(),
                out,
            );
        }
        if rest {
            let key = texts::key(&plan.line, &self.plan.barriers[barrier].name);
            let to = !plan.normally_closed;
            return self.wrong(
                Words::new(
                    "极性反了：静止时读作动作，动作时读作静止",
                    "the polarity is the wrong way round: active at rest, at rest when active",
                ),
                Words::new(
                    format!("配置里改成 {key} = {{ …, normally_closed = {to} }}，再重新调试"),
                    format!(
                        "write {key} = {{ ..., normally_closed = {to} }} in the configuration and \
                         begin again"
                    ),
                ),
                out,
            );
        }
        contact.proven = true;
        self.write_down(
            Finding::good(Words::new(
                format!("动作、复位都看到了，触点变化 {changes} 次"),
                format!("became active and rested again, {changes} changes of the contact"),
            )),
            out,
        );
        self.next(now, out);
    }

    /// Whether somebody under this boom would be seen: an input that does so was seen to work
    /// in this session, works still, and sees nobody.
    pub(super) fn under_watch(&self, barrier: usize) -> bool {
        let seen = &self.barriers[barrier];
        let inputs = self.plan.barriers[barrier].inputs.iter();
        seen.port == Port::Held
            && inputs.zip(&seen.contacts).any(|(input, contact)| {
                input.is_safety()
                    && contact.proven
                    && !contact.chatters
                    && contact.level == Some(false)
            })
    }

    pub(super) fn may_energise(&self, barrier: usize, output: Output) -> bool {
        output != Output::Close || self.under_watch(barrier)
    }

    pub(super) fn ask_to_move(&mut self, now: Monotonic, out: &mut Vec<Action>) {
        let Some(Item::Output { barrier, output }) = self.plan.items.get(self.at) else {
            return;
        };
        if !self.may_energise(*barrier, *output) {
            return self.unwatched(out);
        }
        self.phase = Phase::MayMove { asked: now };
        self.ask_again(out);
    }

    pub(super) fn unwatched(&mut self, out: &mut Vec<Action>) {
        self.wrong(
            Words::new(
                "没有试关闸：这次调试里没有看到闸下地感或光电正常动作并空闲",
                "closing was not tried: no safety loop or light beam of this boom was seen to work \
                 and to be clear in this session",
            ),
            Words::new(
                "先让闸下地感或光电调试正常，闸杆下清空，再重新调试",
                "let the safety loop or the light beam pass first, clear the boom, and begin again",
            ),
            out,
        );
    }

    pub(super) fn energise(&mut self, now: Monotonic, out: &mut Vec<Action>) {
        let Some(Item::Output { barrier, output }) = self.plan.items.get(self.at).cloned() else {
            return;
        };
        if !self.may_energise(barrier, output) {
            return self.unwatched(out);
        }
        self.pulses += 1;
        let cause = format!("doctor-{}-{}", self.id, self.pulses);
        out.push(Action::Energise {
            barrier,
            output,
            cause: cause.clone(),
        });
        self.phase = Phase::Pulsing {
            cause,
            since: now,
            energised: None,
        };
    }

    pub(super) fn moves_by_itself(&mut self, out: &mut Vec<Action>) {
        let active_low = self
            .barrier()
            .and_then(|barrier| self.plan.barriers[barrier].active_low);
        let cure = match active_low {
            Some(active_low) => Words::new(
                format!(
                    "断电，查继电器板是高电平还是低电平吸合；配置里试 relay = {{ …, active_low = {} }}。\
                     也查开闸线是否接在常开触点（NO）",
                    !active_low
                ),
                format!(
                    "supply off; see whether the relay board is energised by a high or a low level and \
                     try relay = {{ ..., active_low = {} }}. Check too that OPEN is wired to the normally \
                     open contact (NO)",
                    !active_low
                ),
            ),
            None => Words::new(
                "断电，查开闸线是否接在常开触点（NO），继电器触点是否粘住，道闸有没有别的开闸信号",
                "supply off; check that OPEN is wired to the normally open contact (NO), that the relay \
                 is not welded, and what else opens the barrier",
            ),
        };
        self.wrong(
            Words::new(
                "继电器断开时闸杆自己动了",
                "the boom moved by itself with its relay released",
            ),
            cure,
            out,
        );
    }

    pub(super) fn moved(&mut self, length: Duration, out: &mut Vec<Action>) {
        let ms = length.as_millis();
        let close = matches!(
            self.plan.items.get(self.at),
            Some(Item::Output {
                output: Output::Close,
                ..
            })
        );
        let (zh, en) = if close {
            ("落下", "came down")
        } else {
            ("抬起", "rose")
        };
        self.write_down(
            Finding::good(Words::new(
                format!("脉冲 {ms} 毫秒，之后确认断开；安装人员看到闸杆{zh}"),
                format!(
                    "a pulse of {ms} ms, its release confirmed; the person saw that the boom {en}"
                ),
            )),
            out,
        );
    }

    pub(super) fn did_not_move(&mut self, out: &mut Vec<Action>) {
        self.wrong(
            Words::new(
                "继电器吸合又断开了，闸杆没有动",
                "the relay was energised and released, the boom did not move",
            ),
            Words::new(
                "听继电器有没有响、灯亮不亮：不响，查电源和接线、配置里的线号或路数；响了，查开闸线是否\
                 接在继电器的 COM 和 NO、道闸控制器的开闸和公共端，道闸是否在遥控或锁定状态",
                "listen for the relay and look at its lamp. Silent: check its supply, its wires and the \
                 line or channel in the configuration. Heard: check that OPEN is wired to COM and NO and \
                 to the controller's OPEN and common terminals, and that the controller is not locked",
            ),
            out,
        );
    }

    pub(super) fn not_energised(&mut self, seen: Words, cure: Words, out: &mut Vec<Action>) {
        if let Some(barrier) = self.barrier() {
            out.push(Action::Release { barrier });
        }
        self.wrong(seen, cure, out);
    }

    pub(super) fn looked(&mut self, look: &Look, right: bool, out: &mut Vec<Action>) {
        out.push(Action::LookAway);
        let seen = texts::look_words(look);
        if right && look.frames > 0 {
            return self.write_down(Finding::good(seen), out);
        }
        let cure = if look.frames == 0 {
            Words::new(
                "查摄像机电源和网线，地址、用户名和密码文件；menshen check 会说缺什么",
                "check the camera's supply and cable, its address, user and password file; menshen check \
                 says what is missing",
            )
        } else {
            Words::new(
                "查这个车道写的是不是这台摄像机的地址；车牌读不对时，把镜头对准车牌、拉近、避开逆光",
                "check that this lane names this camera's address; where plates are wrong, aim at the plate, \
                 come nearer and avoid light from behind",
            )
        };
        self.wrong(seen, cure, out);
    }
}
